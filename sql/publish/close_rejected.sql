-- Guarantees: a rejected row is closed when the fact table holds a newer valid version of its key. Runs after the MERGE.
-- A version in the future counts as read at its snapshot, so that its correction closes it. A version without a time,
-- or corrected without a newer one, is closed by the run that published the key later.
UPDATE ANALYTICS.SALES_REJECTED
SET STATUS = 'CLOSED', CLOSED_AT = CURRENT_TIMESTAMP(), CLOSED_BY_RUN_NUMBER = ?
WHERE STATUS IN ('OPEN', 'STILL_BAD') AND EXISTS (
    SELECT 1
    FROM ANALYTICS.SALES_FACT AS FACT
    WHERE FACT.SALE_ID = SALES_REJECTED.SALE_KEY
        AND FACT.REGION = SALES_REJECTED.REGION_CODE
        AND (
            FACT.UPDATED_AT > LEAST(
                COALESCE(SALES_REJECTED.VERSION_AT, SALES_REJECTED.ETL_SNAPSHOT_AT), SALES_REJECTED.ETL_SNAPSHOT_AT
            )
            OR (
                FACT.ETL_RUN_NUMBER > SALES_REJECTED.ETL_RUN_NUMBER
                AND FACT.UPDATED_AT >= COALESCE(SALES_REJECTED.VERSION_AT, FACT.UPDATED_AT)
            )
        )
)
