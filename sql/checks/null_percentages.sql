-- Answers the share of NULLs per column of the fact table that must not be NULL, in per cent: must be 0 everywhere.
SELECT ${null_percentages}
FROM ANALYTICS.SALES_FACT
