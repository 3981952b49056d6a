-- Lists a region's sales with some keys on any day, those marked as deleted included. All keys of the fact table are
-- read once, for the dates of these sales; other columns only on those dates.
SELECT
    SALE_ID, ${arrival_day}, DATE_PART(EPOCH_MICROSECOND, UPDATED_AT), ${fingerprint}, DELETED_AT IS NOT NULL,
    ETL_SNAPSHOT_AT
FROM ANALYTICS.SALES_FACT
INNER JOIN (
    SELECT DISTINCT HELD.SALE_ID AS FOUND_ID, HELD.SALE_DATE AS FOUND_ON
    FROM ANALYTICS.SALES_FACT AS HELD
    WHERE HELD.SALE_ID IN (${listed_keys})
) AS FOUND ON FOUND_ON = SALE_DATE AND FOUND_ID = SALE_ID
WHERE REGION = ?
