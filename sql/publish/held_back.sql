-- Answers region and batch of what is staged and was rolled back, by key or by date, and of dates that were rolled back
-- since the sources were read: neither a heal nor a replay may load what stays out.
SELECT DISTINCT HELD.REGION, HELD.BATCH_ID
FROM ANALYTICS.SALES_ROLLED_BACK AS HELD
LEFT JOIN (
    SELECT REGION, SALE_ID AS NAME, FALSE AS IS_DATE
    FROM ${clean_table}
    UNION ALL
    SELECT REGION, TO_VARCHAR(SALE_DATE, 'YYYYMMDD'), TRUE
    FROM ${clean_table}
    UNION ALL
    SELECT REGION, TO_VARCHAR(UPDATED_AT, 'YYYYMMDD'), TRUE
    FROM ${clean_table}
) AS STAGED
    ON STAGED.REGION = HELD.REGION
    AND STAGED.NAME = COALESCE(HELD.SALE_ID, HELD.BATCH_ID)
    AND STAGED.IS_DATE = (HELD.SALE_ID IS NULL)
WHERE HELD.REGION IN (${regions})
    AND (
        STAGED.NAME IS NOT NULL
        OR (HELD.SALE_ID IS NULL AND HELD.REGION || ' ' || HELD.BATCH_ID NOT IN (${listed_keys}))
    )
ORDER BY HELD.REGION, HELD.BATCH_ID
