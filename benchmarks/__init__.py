"""How fast the daily run is and how much memory it takes, beside its floor and its peers: `make bench`.

What belongs here: making the rows, running and timing whole programs, tables and plots. No product module imports it.
"""
