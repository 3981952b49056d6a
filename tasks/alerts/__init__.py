"""Alerts: the mail, who sends it, and that each is sent once.

What notices a fault stands elsewhere: in automations (`deployments/`) and in `tasks/watch/`.
"""
