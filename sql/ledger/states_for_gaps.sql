-- Lists the ledger's state of each date and region between two batch ids: the newest status, the status in production,
-- and whether a run is under way. A date that was loaded before it was over is not in production: part of it is
-- missing.
-- Batches of named keys (R..., H...) and adopted tables (A...) sort behind all dates.
SELECT
    LATEST.BATCH_ID,
    LATEST.REGION,
    LATEST.STATUS,
    PRODUCTION.STATUS AS IN_PRODUCTION,
    LATEST.STATUS IN ('STARTED', 'RENEWED')
    AND COALESCE(LEASE.LEASE_UNTIL >= CURRENT_TIMESTAMP(), FALSE) AS UNDER_WAY
FROM ANALYTICS.ETL_BATCHES_LATEST AS LATEST
LEFT JOIN ANALYTICS.ETL_BATCHES_WHOLE_IN_PRODUCTION AS PRODUCTION
    ON PRODUCTION.BATCH_ID = LATEST.BATCH_ID AND PRODUCTION.REGION = LATEST.REGION
LEFT JOIN ANALYTICS.ETL_LEASES AS LEASE ON LEASE.RUN_NUMBER = LATEST.RUN_NUMBER
WHERE LATEST.BATCH_ID BETWEEN ? AND ?
ORDER BY LATEST.BATCH_ID, LATEST.REGION
