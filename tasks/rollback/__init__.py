"""Rollback: takes batches out again, and says what stays out because it was rolled back.

What was published stands in the ledger, in `tasks/warehouse/`.
"""
