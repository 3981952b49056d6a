"""Rollback: takes batches out of the fact table, and keeps out what was rolled back.

The ledger, which records what was published, is in `tasks/warehouse/`.
"""
