"""Reconcile: source and table compared by day, and what to do about the sales that differ.

A heal is loaded by the steps of a daily run.
"""
