-- Returns the next run number, from the one counter, and the version of the tables.
SELECT ANALYTICS.ETL_RUN_NUMBER.NEXTVAL, (SELECT COALESCE(MAX(TABLES_VERSION), 1) FROM ANALYTICS.ETL_LOCK)
