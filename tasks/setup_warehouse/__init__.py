"""Setting up the warehouse: adopting an existing fact table, upgrading older tables, roles and their rights, and views
for analysts.

`sql/setup/` creates the tables; `tasks/warehouse/` has what loads use of them.
"""
