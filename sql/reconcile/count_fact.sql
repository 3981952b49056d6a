-- Counts the rows of SALES_FACT, and those among them that a run has written.
SELECT COUNT(*), COUNT_IF(ETL_RUN_NUMBER = ?)
FROM ANALYTICS.SALES_FACT
