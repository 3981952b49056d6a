-- Answers how many rows of the fact table no run has written or adopted, and how many one has.
SELECT COUNT(*) - COUNT(ETL_RUN_NUMBER), COUNT(ETL_RUN_NUMBER)
FROM ANALYTICS.SALES_FACT
