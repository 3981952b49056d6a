-- Lists a region's sales that arrived on some days, of some buckets.
SELECT
    SALE_ID, ${arrival_day}, DATE_PART(EPOCH_MICROSECOND, UPDATED_AT), ${fingerprint}, DELETED_AT IS NOT NULL,
    ETL_SNAPSHOT_AT
FROM ANALYTICS.SALES_FACT
WHERE REGION = ?
    AND DELETED_AT IS NULL
    AND (SALE_DATE >= ${since} AND SALE_DATE < ${until} OR UPDATED_AT >= ${since} AND UPDATED_AT < ${until})
    AND ${arrival_day} IN (${dates})
    AND LEFT(MD5(SALE_ID), 2) IN (${buckets})
