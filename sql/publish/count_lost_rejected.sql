-- Answers how many staged rejected rows of each region do not stand among the rejections cell by cell: must answer no row.
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
