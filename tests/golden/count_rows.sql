-- Answers how many rows SALES_FACT has, how many of them are the run's, how many of these name another batch or another
-- publish, how many the run has first inserted, how many rejections there are, and how many closings of other runs. Asked
-- after the lock and before COMMIT: what comes or goes outside the batch shows here.
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
