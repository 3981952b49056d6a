-- Counts the rows of SALES_FACT, the versions of the runs among them, the sales that the runs have first inserted,
-- their undo rows, those of the latter that return, the undo rows that this transaction has written, and the versions
-- that stand since it. Runs after the lock and before COMMIT. Selects by numbers alone, which rise with time, so that
-- only young parts of a table are read.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER IN (${runs})),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_FIRST_RUN_NUMBER IN (${runs})),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER IN (${runs})),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT_UNDO
        WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
    ),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT_UNDO
        WHERE UNDO_PUBLISH_NUMBER = (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)
    ),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT
        WHERE ETL_PUBLISH_NUMBER = (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)
    )
