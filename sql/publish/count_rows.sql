-- Answers how many rows SALES_FACT has, how many of them are the run's, how many of these name another batch, how many
-- rows SALES_REJECTED has, how many of them the run replaces by batch and by key, and how many it can put back. Asked
-- after the lock and before COMMIT: what comes or goes outside the batch shows here.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER = ?),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER = ? AND ETL_BATCH_ID <> ?),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_REJECTED),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_REJECTED
        WHERE ${replaced_by_batch}
    ),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_REJECTED
        WHERE ${replaced_by_key}
    ),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_REJECTED_UNDO WHERE UNDO_RUN_NUMBER = ?)
