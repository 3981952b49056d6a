"""Alerts: their mails, and sending each once.

Faults are noticed elsewhere: by automations (`deployments/`) and in `tasks/watch/`.
"""
