-- Returns a row when the undo log is that of version 2, which kept new sales and held-back keys too.
SELECT COLUMN_NAME
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME = 'SALES_FACT_UNDO' AND COLUMN_NAME = 'UNDO_FATE'
