-- Counts the rows of the fact table by the batch that wrote them.
SELECT ETL_BATCH_ID, COUNT(*) AS ROWS_IN_TABLE
FROM ANALYTICS.SALES_FACT
GROUP BY ETL_BATCH_ID
ORDER BY ETL_BATCH_ID
