-- Guarantees: counts or deletes, as the verb says, the rejected rows of keys of which none waits and all were settled more
-- than so many days ago. A key goes as a whole: what one row has replaced must not come back without it. Open ones stay,
-- however old: they are work to be done.
${verb}
FROM ANALYTICS.SALES_REJECTIONS
WHERE EXISTS (
    SELECT 1
    FROM (
        SELECT ETL_RUN_NUMBER, REGION_CODE, TRAIL
        FROM (
            SELECT
                *,
                CASE WHEN SALE_KEY IS NULL THEN 'run ' || ETL_RUN_NUMBER ELSE 'key ' || SALE_KEY END AS TRAIL
            FROM ANALYTICS.SALES_REJECTIONS_KNOWN
        ) AS KNOWN
        QUALIFY COUNT_IF(STATUS IN (${open_statuses})) OVER (PARTITION BY REGION_CODE, TRAIL) = 0
            AND MAX(SETTLED_AT) OVER (PARTITION BY REGION_CODE, TRAIL)
            < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
    ) AS OLD
    WHERE OLD.ETL_RUN_NUMBER = SALES_REJECTIONS.ETL_RUN_NUMBER
        AND OLD.REGION_CODE = SALES_REJECTIONS.REGION_CODE
        AND OLD.TRAIL = CASE
            WHEN SALES_REJECTIONS.SALE_KEY IS NULL THEN 'run ' || SALES_REJECTIONS.ETL_RUN_NUMBER
            ELSE 'key ' || SALES_REJECTIONS.SALE_KEY
        END
)
