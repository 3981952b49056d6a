-- Returns the numbers of the newest publish of a batch or run, as the column says, of the first publish whose past is
-- known, and of the newest transaction.
SELECT
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_BATCHES WHERE ${published_by} = ? AND STATUS = 'PUBLISHED'),
    (SELECT MAX(PAST_SINCE) FROM ANALYTICS.ETL_LOCK),
    (SELECT MAX(ORDINAL) FROM ANALYTICS.ETL_LOCK)
