"""What is not in prefect.yaml: work pool, queues, automations and the order in which all is applied.

Belongs here: what a Prefect server has to hold before a run can start, as code. Does not: what a run does (`flows/`).
"""
