-- Answers the tables in STAGING of attempts whose lease is over, by name. An attempt that has published keeps its
-- tables for the look after COMMIT, so its lease counts too.
SELECT 'table', TABLES.TABLE_NAME
FROM INFORMATION_SCHEMA.TABLES AS TABLES
LEFT JOIN ANALYTICS.ETL_LEASES AS LEASE
    ON LEASE.RUN_NUMBER = TRY_TO_NUMBER(SPLIT_PART(TABLES.TABLE_NAME, '_', 2))
WHERE TABLES.TABLE_SCHEMA = 'STAGING'
    AND SPLIT_PART(TABLES.TABLE_NAME, '_', 1) IN (${staging_kinds})
    AND LEASE.LEASE_UNTIL < CURRENT_TIMESTAMP()
