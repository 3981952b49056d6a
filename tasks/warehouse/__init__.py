"""Snowflake: sessions, statements, the publish lock, the ledger and its leases, the second look, the past of the table.

Holds no step of a run: `tasks/publish.py` and `tasks/law.py` decide what is published, and in which order.
"""
