"""The local stack: what stands in for databases, S3, Snowflake and a mail server on this machine."""

from blocks import shell

shell.keep_off_proxies()
