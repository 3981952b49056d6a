-- Answers which are there of the undo log, and of the table that says since when it holds the past.
SELECT TABLE_NAME
FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME IN ('SALES_FACT_UNDO', 'ETL_LOCK')
