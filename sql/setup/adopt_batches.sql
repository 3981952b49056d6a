-- Counts the adoptions in the ledger.
SELECT COUNT(*)
FROM ANALYTICS.ETL_BATCHES
WHERE STARTSWITH(BATCH_ID, '${adoption}')
