-- Guarantees: a rejected row is closed when the fact table holds a newer valid version of its key. Runs after the
-- MERGE.
-- A version with a time in the future counts as read at its snapshot, so that its correction closes it. A version
-- without a time, or corrected without a newer one, is closed by the run that publishes the key later. Sales marked as
-- deleted close nothing, and rows that a newer run of their batch replaces need no closing.
INSERT INTO ANALYTICS.SALES_REJECTION_CLOSINGS (
    REJECTED_BY_RUN_NUMBER, REGION_CODE, SALE_KEY, VERSION_AT, STATUS, CLOSED_AT, CLOSED_BY_RUN_NUMBER,
    COVERED_BY_RUN_NUMBER
)
SELECT DISTINCT
    REJECTED.ETL_RUN_NUMBER, REJECTED.REGION_CODE, REJECTED.SALE_KEY, REJECTED.VERSION_AT,
    'CLOSED', CURRENT_TIMESTAMP(), CAST(? AS NUMBER), FACT.ETL_RUN_NUMBER
FROM ANALYTICS.SALES_REJECTIONS_KNOWN AS REJECTED
INNER JOIN (${standing_now}) AS FACT
    ON FACT.SALE_ID = REJECTED.SALE_KEY AND FACT.REGION = REJECTED.REGION_CODE
WHERE REJECTED.STATUS IN ('OPEN', 'STILL_BAD')
    AND NOT (REJECTED.ETL_BATCH_ID = ? AND REJECTED.ETL_RUN_NUMBER < ? AND NOT REJECTED.IS_REOPENED)
    AND FACT.DELETED_AT IS NULL
    AND (
        FACT.UPDATED_AT > LEAST(COALESCE(REJECTED.VERSION_AT, REJECTED.ETL_SNAPSHOT_AT), REJECTED.ETL_SNAPSHOT_AT)
        OR (
            FACT.ETL_RUN_NUMBER > REJECTED.ETL_RUN_NUMBER
            AND (REJECTED.VERSION_AT IS NULL OR FACT.UPDATED_AT >= REJECTED.VERSION_AT)
        )
    )
