-- Answers the tables in STAGING that attempts have made, by name and run number.
SELECT TABLE_NAME, TRY_TO_NUMBER(SPLIT_PART(TABLE_NAME, '_', 2))
FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_SCHEMA = 'STAGING' AND SPLIT_PART(TABLE_NAME, '_', 1) IN (${staging_kinds})
ORDER BY TABLE_NAME
