"""The checks of check-setup, one file per system. A check returns a line: ok, or what is wrong and how to mend it.

Checks change nothing; `blocks.register`, `flows.setup_warehouse` and `deployments/` create what is missing.
"""
