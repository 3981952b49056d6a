"""Retention: what is removed when it is old, on S3, in the warehouse, on the scratch disk and on the Prefect server.

The statements stand in `sql/retention/`; Prefect's own database is cleaned by `deployments/clean_prefect_database.py`.
"""
