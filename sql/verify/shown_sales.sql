-- Returns the number, exact money and a fingerprint of all columns, by region and currency, of the staged rows that
-- should be in the fact table, and of the rows that it holds with their keys and dates. Attributes that were not read
-- are left out. Written differently from the counts inside publish: it knows no run and no batch, and compares every
-- column.
SELECT SIDE, REGION, CURRENCY, COUNT(*), ${tally_sums}, HASH_AGG(${compared_columns}${read_names})
FROM (
    SELECT 'staged' AS SIDE, ${compared_columns}${read_values}
    FROM ${clean_table}
    INNER JOIN (
        SELECT SALE_ID AS KEPT_ID, REGION AS KEPT_REGION
        FROM ${fates_table}
        WHERE FATE IN ('inserted', 'updated', 'unchanged')
    ) AS KEPT ON KEPT_ID = SALE_ID AND KEPT_REGION = REGION
    UNION ALL
    SELECT 'fact', ${compared_columns}${read_values}
    FROM ANALYTICS.SALES_FACT
    INNER JOIN (SELECT DISTINCT SALE_DATE AS KEPT_ON FROM ${clean_table}) AS DATES ON KEPT_ON = SALE_DATE
    INNER JOIN (
        SELECT SALE_ID AS KEPT_ID
        FROM ${fates_table}
        WHERE FATE IN ('inserted', 'updated', 'unchanged')
    ) AS KEPT ON KEPT_ID = SALE_ID
    WHERE DELETED_AT IS NULL
) AS SALES
GROUP BY SIDE, REGION, CURRENCY
