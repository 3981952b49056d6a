-- Counts the rows of the fact table that no run has written or adopted, and those that one has.
SELECT COUNT(*) - COUNT(ETL_RUN_NUMBER), COUNT(ETL_RUN_NUMBER)
FROM ANALYTICS.SALES_FACT
