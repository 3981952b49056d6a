-- Guarantees: the rows that no run of this pipeline has written belong to the run that adopts them, their times are in
-- UTC and whole microseconds, and they count as read when they last changed at the source, the earliest possible time.
UPDATE ANALYTICS.SALES_FACT
SET
    SALE_DATE = CONVERT_TIMEZONE('UTC', SALE_DATE)::TIMESTAMP_TZ(6),
    UPDATED_AT = CONVERT_TIMEZONE('UTC', UPDATED_AT)::TIMESTAMP_TZ(6),
    ETL_BATCH_ID = ?,
    ETL_RUN_NUMBER = ?,
    ETL_SNAPSHOT_AT = CONVERT_TIMEZONE('UTC', UPDATED_AT),
    ETL_INSERTED_AT = CURRENT_TIMESTAMP(),
    ETL_UPDATED_AT = CURRENT_TIMESTAMP(),
    IS_DELETED = FALSE,
    ETL_PUBLISH_NUMBER = HELD.ORDINAL
FROM ANALYTICS.ETL_LOCK AS HELD
WHERE ETL_RUN_NUMBER IS NULL
