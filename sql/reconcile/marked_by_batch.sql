-- Counts the sales that a batch has marked as deleted.
SELECT COUNT(*)
FROM ANALYTICS.SALES_FACT
WHERE ETL_BATCH_ID = ? AND DELETED_AT IS NOT NULL
