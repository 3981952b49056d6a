"""The flows, one file each, with their parameters and end states. `daily_sales.py` is the table of contents.

`flows/support/` has what flows share, `tasks/` their steps.
"""
