"""What people look at in the Prefect dashboard: artifacts, and the ledger as a grid.

The text of a run's own report stands in `tasks/report.py`, mails in `tasks/alerts/`.
"""
