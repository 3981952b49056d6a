"""The watchdog's pass: which dates are late and which runs have died, and what is done about them.

The mails themselves are made in `tasks/alerts/`.
"""
