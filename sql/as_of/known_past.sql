-- Answers the number of a batch's newest publish, since when the past is known, and the number of the newest transaction.
SELECT
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED'),
    (SELECT MAX(PAST_SINCE) FROM ANALYTICS.ETL_LOCK),
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_LOCK)
