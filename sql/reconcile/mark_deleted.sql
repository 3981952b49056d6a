-- Guarantees: sales that their source no longer holds are marked, never removed. A sale that was read later than it was
-- missed stays unchanged.
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
