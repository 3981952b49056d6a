-- Guarantees: sales that their source does not hold any more are marked, never removed. One that was read later than it
-- was missed stays as it is.
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
