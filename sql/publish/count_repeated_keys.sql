-- Counts, for all keys that matter to the batch in any region, the rows of the fact table that repeat a key (repeated),
-- and those that neither stood before nor are new (uncopied). Both must be 0.
SELECT '', WHAT.COUNTED, CASE WHAT.COUNTED
    WHEN 'repeated' THEN FOUND.SALES - FOUND.KEYS_FOUND
    ELSE FOUND.SALES - STOOD.SALES - BROUGHT.SALES
END
FROM (
    SELECT COUNT(*) AS SALES, COUNT(DISTINCT SALE_ID) AS KEYS_FOUND
    FROM ANALYTICS.SALES_FACT
    WHERE SALE_ID IN (${wanted_keys})
) AS FOUND
CROSS JOIN (SELECT COUNT(*) AS SALES FROM ${standing_table}) AS STOOD
CROSS JOIN (SELECT COUNT(*) AS SALES FROM ${fates_table} WHERE FATE = 'inserted') AS BROUGHT
CROSS JOIN (SELECT 'repeated' AS COUNTED UNION ALL SELECT 'uncopied') AS WHAT
