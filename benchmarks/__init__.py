"""Speed and memory of the daily run, compared with its floor and its peers: `make bench`.

What belongs here: making the rows, running and timing whole programs, tables and plots. No product module imports it.
"""
