-- Returns the batch ids of the first date that was ever loaded and of the last date in the ledger, NULLs when it holds
-- none. A date that was only tried, like one with a wrong year, is no beginning, unless nothing was loaded yet.
-- Batches of named keys (R..., H...) and adopted tables (A...) sort behind all dates.
SELECT
    COALESCE(MIN(CASE WHEN STATUS IN ('PUBLISHED', 'EMPTY') THEN BATCH_ID END), MIN(BATCH_ID)) AS FIRST_BATCH_ID,
    MAX(BATCH_ID) AS LAST_BATCH_ID
FROM ANALYTICS.ETL_BATCHES
WHERE BATCH_ID < 'A'
