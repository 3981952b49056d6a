-- Lists the keys, as the source writes them, and versions of a region's open rejected rows.
SELECT SALE_ID, VERSION_AT
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS IN ('OPEN', 'STILL_BAD') AND REGION_CODE = ?
