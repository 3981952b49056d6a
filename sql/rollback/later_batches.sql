-- Answers how many sales and rejected rows of the runs each other batch has changed since. The undo log is a chain: what
-- gave way names the run that had written it.
SELECT UNDO_BATCH_ID, COUNT(*)
FROM (
    SELECT UNDO_BATCH_ID
    FROM ANALYTICS.SALES_FACT_UNDO
    WHERE UNDO_FATE = 'updated' AND ETL_RUN_NUMBER IN (${runs}) AND UNDO_RUN_NUMBER NOT IN (${runs})
    UNION ALL
    SELECT UNDO_BATCH_ID
    FROM ANALYTICS.SALES_REJECTED_UNDO
    WHERE ETL_RUN_NUMBER IN (${runs}) AND UNDO_RUN_NUMBER NOT IN (${runs})
) AS CHANGED
GROUP BY UNDO_BATCH_ID
ORDER BY UNDO_BATCH_ID
