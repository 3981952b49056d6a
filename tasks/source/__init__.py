"""The regional databases: their tables, the statements that read them, one snapshot, its waits, and tokens.

What is done with the rows stands in `tasks/extract.py`.
"""
