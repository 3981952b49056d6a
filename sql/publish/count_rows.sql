-- Counts the rows of SALES_FACT, the run's rows among them, those of the latter with another batch or another publish,
-- the rows that the run has first inserted, all rejections, and the closings of other runs. Runs after the lock and
-- before COMMIT, so that changes outside the batch show here.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER = ?),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_FACT
        WHERE ETL_RUN_NUMBER = ?
            AND (ETL_BATCH_ID <> ? OR ETL_PUBLISH_NUMBER IS DISTINCT FROM (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK))
    ),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE ETL_FIRST_RUN_NUMBER = ?),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_REJECTIONS),
    (SELECT COUNT(*) FROM ANALYTICS.SALES_REJECTION_CLOSINGS WHERE CLOSED_BY_RUN_NUMBER IS DISTINCT FROM ?)
