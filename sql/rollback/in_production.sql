-- Lists the regions of a batch that are in production, with status, run, time and cause.
SELECT REGION, STATUS, RUN_NUMBER, RECORDED_AT, CAUSE
FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION
WHERE BATCH_ID = ?
ORDER BY REGION
