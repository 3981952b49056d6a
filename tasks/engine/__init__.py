"""Transform, quality gate and staging on an engine that is reached by Spark Connect: Spark or Sail.

What belongs here: the forms that these steps take on an engine's frames. What does not: rules, derived columns, suites
and the order of versions (`expectations/`), which are those of the pandas path.
"""
