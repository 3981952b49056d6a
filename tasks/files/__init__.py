"""Files of an attempt: Arrow on the scratch disk, its room there, and the keys that a file takes.

What belongs in them is decided by the steps; S3 is written by `tasks/stage.py`.
"""
