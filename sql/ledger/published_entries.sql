-- Lists the entries of the regions that the run has published: rows by fate, and the money of the rows read.
SELECT REGION, EXTRACTED, REJECTED, DUPLICATES, INSERTED, UPDATED, UNCHANGED, SUPERSEDED, MONEY
FROM ANALYTICS.ETL_BATCHES
WHERE RUN_NUMBER = ? AND STATUS = 'PUBLISHED'
