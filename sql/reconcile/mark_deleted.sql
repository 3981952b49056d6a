-- Guarantees: sales that their source does not hold any more are marked, never removed. One that was read later than it
-- was missed stays as it is.
UPDATE ANALYTICS.SALES_FACT
SET
    IS_DELETED = TRUE,
    DELETED_AT = CURRENT_TIMESTAMP(),
    ETL_BATCH_ID = '${batch_id}',
    ETL_RUN_NUMBER = ${run_number},
    ETL_SNAPSHOT_AT = ${snapshot_at},
    ETL_UPDATED_AT = CURRENT_TIMESTAMP(),
    ETL_PUBLISH_NUMBER = HELD.ORDINAL
FROM ANALYTICS.ETL_LOCK AS HELD
WHERE ${is_gone}
