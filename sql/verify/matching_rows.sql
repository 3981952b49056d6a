-- Returns the number and exact money, by region and currency, of the staged rows that were in the fact table in every
-- column right after a publish, attributes that were not read left out. Written differently from the counts inside
-- publish: a set intersection, which knows neither fates nor batch ids.
SELECT REGION, CURRENCY, COUNT(*), ${tally_sums}
FROM (
    SELECT ${compared_columns}${read_values}
    FROM ${clean_table}
    INTERSECT
    SELECT ${compared_columns}${read_values}
    FROM (
${past}
    ) AS SHOWN
    WHERE DELETED_AT IS NULL AND SALE_ID IN (SELECT SALE_ID FROM ${clean_table})
) AS MATCHING
GROUP BY REGION, CURRENCY
