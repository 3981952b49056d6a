"""Pages for people: HTML files of a run and of all dates, artifacts of the Prefect dashboard, the ledger as a grid.

`flows/support/pages.py` and `history.py` write the HTML pages at a run's end; `tasks/alerts/` writes the mails.
"""
