"""What runs: one file a flow, with its parameters and its end states. `daily_sales.py` is the table of contents.

What flows share stands in `flows/support/`; what they do stands in `tasks/`.
"""
