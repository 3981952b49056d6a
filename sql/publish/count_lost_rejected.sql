-- Counts, by region, the staged rejected rows that are not among the rejections cell by cell. Must return no row.
SELECT REGION_CODE, 'lost', COUNT(*)
FROM (
    SELECT REGION_CODE, SALE_KEY, RULES, VERSION_AT, ${rejected_source_columns}
    FROM ${rejected_table}
    EXCEPT
    SELECT REGION_CODE, SALE_KEY, RULES, VERSION_AT, ${rejected_source_columns}
    FROM ANALYTICS.SALES_REJECTIONS
    WHERE ETL_RUN_NUMBER = ?
) AS LOST
GROUP BY REGION_CODE
