"""What prefect.yaml does not hold: work pool, queues, automations, images, the order of applying all, and cleaning up.

Belongs here: as code, what a Prefect server needs before a run can start, and what its database must not keep for ever.
Does not: what a run does (`flows/`).
"""
