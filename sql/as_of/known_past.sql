-- Returns the numbers of a batch's newest publish, of the first publish whose past is known, and of the newest
-- transaction.
SELECT
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED'),
    (SELECT MAX(PAST_SINCE) FROM ANALYTICS.ETL_LOCK),
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_LOCK)
