-- Answers a region's sales with some keys, whatever their day, those that are marked as deleted included.
SELECT
    SALE_ID, ${arrival_day}, DATE_PART(EPOCH_MICROSECOND, UPDATED_AT), ${fingerprint}, DELETED_AT IS NOT NULL,
    ETL_SNAPSHOT_AT
FROM ANALYTICS.SALES_FACT
WHERE REGION = ? AND SALE_ID IN (${sale_ids})
