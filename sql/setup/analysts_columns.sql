-- Lists the columns of what stands under the names of the views for analysts.
SELECT TABLE_NAME, COLUMN_NAME
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME IN (${views_of_analysts})
