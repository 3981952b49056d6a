-- Lists the keys of the open rejected rows of some regions, as their sources write them: up to a number per region, the
-- least recently read first.
SELECT REGION_CODE, SALE_ID
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS IN ('OPEN', 'STILL_BAD') AND REGION_CODE IN (${regions})
GROUP BY REGION_CODE, SALE_ID
QUALIFY ROW_NUMBER() OVER (PARTITION BY REGION_CODE ORDER BY MIN(ETL_SNAPSHOT_AT), SALE_ID) <= ${keys_max}
ORDER BY REGION_CODE, SALE_ID
