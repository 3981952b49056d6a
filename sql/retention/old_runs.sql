-- Answers the runs that are over and of which the ledger has heard nothing for so many days. A run whose lease goes on is
-- alive, however old its last entry is.
SELECT RUN_NUMBER
FROM ANALYTICS.ETL_BATCHES
GROUP BY RUN_NUMBER
HAVING MAX(RECORDED_AT) < DATEADD('day', -${days}, CURRENT_TIMESTAMP()) AND MAX(LEASE_UNTIL) < CURRENT_TIMESTAMP()
ORDER BY RUN_NUMBER
