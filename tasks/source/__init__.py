"""The regional databases: their tables, the statements that read them, one snapshot, its waits, and tokens.

What happens to the rows afterwards belongs in `tasks/extract.py`.
"""
