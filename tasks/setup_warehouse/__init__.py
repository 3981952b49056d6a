"""Setting up the warehouse: adopting a table that is there, bringing older tables up to date, and the rights of roles.

What creates the tables is SQL, in `sql/setup/`; what loads use of them stands in `tasks/warehouse/`.
"""
