-- Answers the publishes of the batches whose rows stand in the fact table, per region, with the number of sales that they
-- changed, and since when the undo log is kept: neither put back since nor failed at the look after COMMIT.
SELECT BATCH_ID, REGION, RUN_NUMBER, COALESCE(INSERTED, 0) + COALESCE(UPDATED, 0), RECORDED_AT, ${kept_since}
FROM (
    SELECT *
    FROM ANALYTICS.ETL_BATCHES
    WHERE BATCH_ID IN (${batches}) AND STATUS NOT IN ('STARTED', 'RENEWED')
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY BATCH_ID, REGION, RUN_NUMBER ORDER BY ORDINAL DESC NULLS LAST, RECORDED_AT DESC
    ) = 1
) AS ENDED
WHERE STATUS IN ('PUBLISHED', 'ROLLED_BACK')
QUALIFY STATUS = 'PUBLISHED' AND RUN_NUMBER > MAX(
    CASE WHEN STATUS = 'ROLLED_BACK' THEN RUN_NUMBER ELSE 0 END
) OVER (PARTITION BY BATCH_ID, REGION)
ORDER BY RUN_NUMBER, REGION
