"""What is not in prefect.yaml: work pool, queues, automations, the order in which all is applied, and keeping house.

Belongs here: what a Prefect server has to hold before a run can start, as code, and what its database must not hold for
ever. Does not: what a run does (`flows/`).
"""
