"""What the Prefect server knows of runs: their kin, and whether they were cancelled.

What is deployed there is checked in `tasks/setup_checks/` and applied by `deployments/`.
"""
