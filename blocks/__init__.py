"""Prefect blocks and variables: their fields, and how they are registered and read; the log lines of long waits.

Variables of the shell never override them: `shell.py` removes those before a driver reads them.
"""

from blocks import shell

shell.keep_off_proxies()
shell.ignore(shell.LIBPQ)
shell.ignore(shell.SPARK)
