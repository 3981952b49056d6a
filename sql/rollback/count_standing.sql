-- Answers how many rows SALES_FACT has, how many of them the runs have not changed, how many undo rows the runs have, and
-- how many of these return. Asked after the lock and before COMMIT.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT AS FACT
        WHERE NOT EXISTS (
            SELECT 1
            FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
            WHERE UNDO.UNDO_RUN_NUMBER IN (${runs})
                AND UNDO.SALE_ID = FACT.SALE_ID
                AND UNDO.REGION = FACT.REGION
        )
    ),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER IN (${runs})),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT_UNDO
        WHERE UNDO_RUN_NUMBER IN (${runs}) AND UNDO_FATE = 'updated' AND ETL_RUN_NUMBER NOT IN (${runs})
    )
