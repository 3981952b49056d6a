-- Answers how many clean and how many rejected rows the attempt's tables hold.
SELECT (SELECT COUNT(*) FROM ${clean_table}), (SELECT COUNT(*) FROM ${rejected_table})
