-- Counts or deletes, as the verb says, the rejected rows of keys of which no row is open and all were settled more than
-- the given days ago. A key goes as a whole: a replaced row must not come back without the one that replaced it. Open
-- rows stay, however old: they are work to be done.
${verb}
FROM ANALYTICS.SALES_REJECTIONS
WHERE REGION_CODE || ' ' || CASE WHEN SALE_KEY IS NULL THEN 'run ' || ETL_RUN_NUMBER ELSE 'key ' || SALE_KEY END IN (
    SELECT TRAIL
    FROM (
        SELECT
            STATUS,
            SETTLED_AT,
            REGION_CODE || ' ' || CASE
                WHEN SALE_KEY IS NULL THEN 'run ' || ETL_RUN_NUMBER
                ELSE 'key ' || SALE_KEY
            END AS TRAIL
        FROM ANALYTICS.SALES_REJECTIONS_KNOWN
    ) AS KNOWN
    GROUP BY TRAIL
    HAVING COUNT_IF(STATUS IN (${open_statuses})) = 0
        AND MAX(SETTLED_AT) < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
)
