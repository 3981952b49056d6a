-- Answers a region's sales that arrived on some days, of some buckets.
SELECT SALE_ID, ${arrival_day}, DATE_PART(EPOCH_MICROSECOND, UPDATED_AT), ${fingerprint}, IS_DELETED, ETL_SNAPSHOT_AT
FROM ANALYTICS.SALES_FACT
WHERE REGION = ?
    AND NOT IS_DELETED
    AND (SALE_DATE >= ${since} OR UPDATED_AT >= ${since})
    AND ${arrival_day} IN (${dates})
    AND LEFT(MD5(SALE_ID), 2) IN (${buckets})
