"""Snowflake: sessions, statements, the publish lock, the ledger and its leases, the second look, the past of the table.

No step of a run: what it publishes, and in which order, is decided in `tasks/publish.py` and `tasks/law.py`.
"""
