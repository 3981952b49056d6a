-- Guarantees: sales that their source no longer holds are marked, never removed. A sale that was read later than it was
-- missed stays unchanged.
UPDATE ANALYTICS.SALES_FACT
SET
    IS_DELETED = TRUE,
    DELETED_AT = CURRENT_TIMESTAMP(),
    ETL_BATCH_ID = '20240115',
    ETL_RUN_NUMBER = 42,
    ETL_SNAPSHOT_AT = '2024-01-16 06:00:00+00:00'::TIMESTAMP_TZ,
    ETL_UPDATED_AT = CURRENT_TIMESTAMP(),
    ETL_PUBLISH_NUMBER = HELD.ORDINAL
FROM ANALYTICS.ETL_LOCK AS HELD
WHERE REGION = 'EUROPE' AND SALE_ID IN ('1', '2')
