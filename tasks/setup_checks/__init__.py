"""What check-setup tries, one file for each system. A check returns a line: ok, or what is wrong and how to mend it.

Nothing here changes anything; what is missing is made by `blocks.register`, `flows.setup_warehouse` and `deployments/`.
"""
