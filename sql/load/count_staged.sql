-- Counts the clean rows and the rejected rows in the attempt's tables.
SELECT (SELECT COUNT(*) FROM ${clean_table}), (SELECT COUNT(*) FROM ${rejected_table})
