-- Answers how many sales of the runs each other batch has changed since. The undo log is a chain: a version that gave way
-- names the run that had written it.
SELECT UNDO_BATCH_ID, COUNT(*)
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_FATE = 'updated' AND ETL_RUN_NUMBER IN (${runs}) AND UNDO_RUN_NUMBER NOT IN (${runs})
GROUP BY UNDO_BATCH_ID
ORDER BY UNDO_BATCH_ID
