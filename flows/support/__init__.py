"""What flows share: parameters, states and their messages, hooks, names of runs, the command line.

The steps of runs are in `tasks/`.
"""
