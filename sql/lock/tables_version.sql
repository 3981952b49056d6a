-- Returns the version of the warehouse's tables.
SELECT COALESCE(MAX(TABLES_VERSION), 1)
FROM ANALYTICS.ETL_LOCK
