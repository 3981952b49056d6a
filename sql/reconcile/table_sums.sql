-- Returns the number, sums of fingerprints and exact money of a region's sales that arrived on some days, by day,
-- bucket and currency. A sale arrives on the UTC day on which it was sold or changed, whichever is later.
SELECT ${arrival_day}, LEFT(MD5(SALE_ID), 2), CURRENCY, COUNT(*), SUM(${fingerprint}), ${money_sums}
FROM ANALYTICS.SALES_FACT
WHERE REGION = ?
    AND DELETED_AT IS NULL
    AND (SALE_DATE >= ${since} AND SALE_DATE < ${until} OR UPDATED_AT >= ${since} AND UPDATED_AT < ${until})
    AND ${arrival_day} IN (${dates})
GROUP BY ${arrival_day}, LEFT(MD5(SALE_ID), 2), CURRENCY
