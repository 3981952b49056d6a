-- Guarantees: nobody is told of a past of which the undo log is about to lose a part.
UPDATE ANALYTICS.ETL_LOCK
SET PAST_SINCE = GREATEST(PAST_SINCE, (
    SELECT COALESCE(MAX(UNDO_PUBLISH_NUMBER), 0)
    FROM ANALYTICS.SALES_FACT_UNDO
    WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
))
