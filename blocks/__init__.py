"""What Prefect's blocks and variables hold, and how they are registered and read.

The shell has no part in it: see `shell.py`. It is asked here once, before a driver reads it.
"""

from blocks import shell

shell.keep_off_proxies()
shell.ignore(shell.LIBPQ)
