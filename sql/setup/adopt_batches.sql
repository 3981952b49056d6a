-- Answers how many adoptions the ledger knows.
SELECT COUNT(*)
FROM ANALYTICS.ETL_BATCHES
WHERE STARTSWITH(BATCH_ID, '${adoption}')
