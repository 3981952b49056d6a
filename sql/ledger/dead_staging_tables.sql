-- Answers the tables in STAGING of attempts whose lease is over, by name. Those of an attempt that has published stay a day
-- longer, for the second look: its run drops them afterwards, and where it did not come to it, the watchdog.
SELECT 'table', TABLES.TABLE_NAME
FROM INFORMATION_SCHEMA.TABLES AS TABLES
LEFT JOIN ANALYTICS.ETL_LEASES AS LEASE
    ON LEASE.RUN_NUMBER = TRY_TO_NUMBER(SPLIT_PART(TABLES.TABLE_NAME, '_', 2))
LEFT JOIN (
    SELECT DISTINCT RUN_NUMBER
    FROM ANALYTICS.ETL_RUNS_IN_EFFECT
) AS PUBLISHED ON PUBLISHED.RUN_NUMBER = LEASE.RUN_NUMBER
WHERE TABLES.TABLE_SCHEMA = 'STAGING'
    AND SPLIT_PART(TABLES.TABLE_NAME, '_', 1) IN (${staging_kinds})
    AND LEASE.LEASE_UNTIL < CASE
        WHEN PUBLISHED.RUN_NUMBER IS NULL THEN CURRENT_TIMESTAMP()
        ELSE DATEADD('day', -1, CURRENT_TIMESTAMP())
    END
