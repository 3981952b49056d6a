"""What Prefect's blocks and variables hold, and how they are registered and read.

The variables of the shell do not overrule them: `shell.py` removes those before a driver reads them.
"""

from blocks import shell

shell.keep_off_proxies()
shell.ignore(shell.LIBPQ)
