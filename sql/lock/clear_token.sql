-- Guarantees: nobody waits for one who has given up.
UPDATE ANALYTICS.ETL_LOCK
SET TOKEN = NULL
WHERE TOKEN = ?
