"""What flows share: parameters, states and their messages, hooks, names of runs, the command line.

A step of a run stands in `tasks/`.
"""
