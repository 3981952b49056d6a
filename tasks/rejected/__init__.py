"""Open rejected rows: counts them, and has a replay read them again.

Why a row is rejected is decided in `tasks/transform.py`.
"""
