-- Lists the regions of the batch that a newer run has published or rolled back: this attempt must leave them alone.
SELECT DISTINCT REGION
FROM ANALYTICS.ETL_BATCHES
WHERE BATCH_ID = ? AND RUN_NUMBER > ? AND STATUS IN ('PUBLISHED', 'ROLLED_BACK')
ORDER BY REGION
