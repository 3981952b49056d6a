-- Guarantees: a table to be adopted has the columns that the load fills, without values yet. The run's number comes
-- first: a table that has it is being adopted.
${adopted_columns}
