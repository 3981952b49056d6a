-- Answers what the fact table shows of each region of a batch, and since when.
SELECT REGION, STATUS, RUN_NUMBER, RECORDED_AT, CAUSE
FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION
WHERE BATCH_ID = ?
ORDER BY REGION
