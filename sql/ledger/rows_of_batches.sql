-- Lists how many rows the published ones among the given batches extracted, per region, newest batch first.
SELECT REGION, EXTRACTED
FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION
WHERE BATCH_ID IN (${places}) AND STATUS = 'PUBLISHED' AND EXTRACTED IS NOT NULL
ORDER BY REGION, BATCH_ID DESC
