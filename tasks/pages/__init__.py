"""Pages of the Prefect dashboard: artifacts, and the ledger as a grid.

`tasks/report.py` writes a run's own report, `tasks/alerts/` the mails.
"""
