-- Counts the versions that had to return and are not in the fact table in every column, and the rows that the runs
-- still have there. Both must be 0. Looks for versions among the rows of their keys and dates.
SELECT
    (
        SELECT COUNT(*)
        FROM (
            SELECT ${version_columns}
            FROM ANALYTICS.SALES_FACT_UNDO
            WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
            EXCEPT
            SELECT ${version_columns}
            FROM ANALYTICS.SALES_FACT
            WHERE SALE_ID IN (SELECT SALE_ID FROM ANALYTICS.SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER IN (${runs}))
                AND SALE_DATE IN (SELECT SALE_DATE FROM ANALYTICS.SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER IN (${runs}))
        ) AS LOST
    ),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER IN (${runs}))
    + (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_FIRST_RUN_NUMBER IN (${runs}))
