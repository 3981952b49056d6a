"""Backfill: which dates and regions are gaps, by what the ledger says.

Loading one is a daily run.
"""
