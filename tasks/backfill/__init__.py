"""Backfill: which dates and regions are gaps, by the ledger.

A daily run loads each gap.
"""
