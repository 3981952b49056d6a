-- Answers how many rows SALES_FACT has, how many of them the runs have not changed, how many the runs have first inserted,
-- how many undo rows they have, and how many of these return. Asked after the lock and before COMMIT.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT AS FACT
        WHERE COALESCE(FACT.ETL_FIRST_RUN_NUMBER, -1) NOT IN (${runs}) AND NOT EXISTS (
            SELECT 1
            FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
            WHERE UNDO.UNDO_RUN_NUMBER IN (${runs})
                AND UNDO.SALE_ID = FACT.SALE_ID
                AND UNDO.REGION = FACT.REGION
        )
    ),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_FIRST_RUN_NUMBER IN (${runs})),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER IN (${runs})),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT_UNDO
        WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
    )
