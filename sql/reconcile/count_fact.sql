-- Answers how many rows SALES_FACT has, and how many of them a run has written.
SELECT COUNT(*), COUNT_IF(ETL_RUN_NUMBER = ?)
FROM ANALYTICS.SALES_FACT
