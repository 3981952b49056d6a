"""The watchdog's pass: which dates are late and which runs have died, and what is done about them.

Mails are composed and sent in `tasks/alerts/`.
"""
