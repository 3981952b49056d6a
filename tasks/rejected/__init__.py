"""Rejected rows that are open: counted, and read again by a replay.

Why a row is rejected is decided in `tasks/transform.py`.
"""
