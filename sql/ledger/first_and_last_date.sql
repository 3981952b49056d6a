-- Returns the batch ids of the first and the last date in the ledger, NULLs when it holds none.
-- Batches of named keys (R..., H...) and adopted tables (A...) sort behind all dates.
SELECT MIN(BATCH_ID), MAX(BATCH_ID)
FROM ANALYTICS.ETL_BATCHES
WHERE BATCH_ID < 'A'
