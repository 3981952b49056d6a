-- Lists which exist of the undo log and the table that says since when it holds the past.
SELECT TABLE_NAME
FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME IN ('SALES_FACT_UNDO', 'ETL_LOCK')
