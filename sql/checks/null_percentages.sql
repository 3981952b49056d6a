-- Returns the percentage of NULLs in each column of the fact table that must not be NULL. Each must be 0.
SELECT ${null_percentages}
FROM ANALYTICS.SALES_FACT
