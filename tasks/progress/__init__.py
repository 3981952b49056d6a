"""Progress of long work: bars on a terminal, log lines elsewhere.

Waits for another machine, which cannot say how far they are, belong to `blocks/waits.py`.
"""
