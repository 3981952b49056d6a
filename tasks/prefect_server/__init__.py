"""Runs on the Prefect server: their kin, and whether they were cancelled.

`deployments/` applies what is deployed there, `tasks/setup_checks/` checks it.
"""
