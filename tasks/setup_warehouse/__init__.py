"""Setting up the warehouse: adopting an existing fact table, upgrading older tables, and the rights of roles.

`sql/setup/` creates the tables; `tasks/warehouse/` has what loads use of them.
"""
