-- Answers the attempts that the ledger knows no end of, per region, and those whose lease is not over. Whether it is
-- over is said by the warehouse's clock, which has also set it.
SELECT
    FLOW_RUN_ID,
    BATCH_ID,
    REGION,
    MAX(LEASE_UNTIL) AS ENDS_AT,
    COALESCE(MAX(LEASE_UNTIL) > CURRENT_TIMESTAMP(), FALSE) AS IS_LIVE,
    COUNT_IF(STATUS NOT IN ('STARTED', 'RENEWED')) = 0 AS IS_OPEN
FROM ANALYTICS.ETL_BATCHES
GROUP BY FLOW_RUN_ID, BATCH_ID, RUN_NUMBER, REGION
HAVING COALESCE(MAX(LEASE_UNTIL) > CURRENT_TIMESTAMP(), FALSE) OR COUNT_IF(STATUS NOT IN ('STARTED', 'RENEWED')) = 0
ORDER BY FLOW_RUN_ID, REGION
