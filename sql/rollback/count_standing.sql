-- Answers how many rows SALES_FACT has, how many of them are versions of the runs, how many the runs have first inserted,
-- how many undo rows they have, how many of these return; how many undo rows this transaction has written, and how many
-- versions stand since it. Asked after the lock and before COMMIT. By numbers alone, which rise with time, so that only
-- young parts of a table are read.
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
