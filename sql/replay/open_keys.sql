-- Lists the keys of the open rejected rows of some regions, as their sources write them: up to a number per region, the
-- least recently read first. Keys that may be held back come last, as they are never read: those of heals and days that
-- were rolled back, and of rows that are open again because the version that had closed them was.
WITH ROLLED_BACK AS (
    -- Asked once, as it reads the keys of the whole fact table.
    SELECT REGION, BATCH_ID, SALE_ID
    FROM ANALYTICS.SALES_ROLLED_BACK
)
SELECT WAITING.REGION_CODE, WAITING.SALE_ID
FROM ANALYTICS.SALES_REJECTIONS_KNOWN AS WAITING
LEFT JOIN ROLLED_BACK AS HELD
    ON HELD.REGION = WAITING.REGION_CODE
    AND HELD.SALE_ID = WAITING.SALE_KEY
LEFT JOIN ROLLED_BACK AS SOLD
    ON SOLD.REGION = WAITING.REGION_CODE
    AND SOLD.BATCH_ID = REPLACE(LEFT(WAITING.SALE_DATE, 10), '-', '')
LEFT JOIN ROLLED_BACK AS CHANGED
    ON CHANGED.REGION = WAITING.REGION_CODE
    AND CHANGED.BATCH_ID = TO_VARCHAR(WAITING.VERSION_AT, 'YYYYMMDD')
WHERE WAITING.STATUS IN ('OPEN', 'STILL_BAD') AND WAITING.REGION_CODE IN (${regions})
GROUP BY WAITING.REGION_CODE, WAITING.SALE_ID
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY WAITING.REGION_CODE
    ORDER BY
        MAX(
            CASE
                WHEN WAITING.IS_REOPENED OR COALESCE(HELD.REGION, SOLD.REGION, CHANGED.REGION) IS NOT NULL THEN 1
                ELSE 0
            END
        ),
        MIN(WAITING.ETL_SNAPSHOT_AT),
        WAITING.SALE_ID
) <= ${keys_max}
ORDER BY WAITING.REGION_CODE, WAITING.SALE_ID
