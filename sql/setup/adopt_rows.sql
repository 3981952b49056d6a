-- Guarantees: the rows that no run of this pipeline has written belong to the run that adopts them, their times are in UTC,
-- and what they hold was read when it last changed at the source, at the earliest.
UPDATE ANALYTICS.SALES_FACT
SET
    SALE_DATE = CONVERT_TIMEZONE('UTC', SALE_DATE),
    UPDATED_AT = CONVERT_TIMEZONE('UTC', UPDATED_AT),
    ETL_BATCH_ID = ?,
    ETL_RUN_NUMBER = ?,
    ETL_SNAPSHOT_AT = CONVERT_TIMEZONE('UTC', UPDATED_AT),
    ETL_INSERTED_AT = CURRENT_TIMESTAMP(),
    ETL_UPDATED_AT = CURRENT_TIMESTAMP(),
    IS_DELETED = FALSE
WHERE ETL_RUN_NUMBER IS NULL
