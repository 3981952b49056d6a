-- Answers the runs at a batch that are over and have published nothing: their lease has ended, and the ledger knows of no
-- end but FAILED.
SELECT 'run', RUN_NUMBER::VARCHAR
FROM ANALYTICS.ETL_BATCHES
WHERE BATCH_ID = ?
GROUP BY RUN_NUMBER
HAVING MAX(LEASE_UNTIL) < CURRENT_TIMESTAMP() AND COUNT_IF(STATUS NOT IN ('STARTED', 'RENEWED', 'FAILED')) = 0
