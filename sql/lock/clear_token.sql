-- Guarantees: no run waits for another that has given up.
UPDATE ANALYTICS.ETL_LOCK
SET TOKEN = NULL
WHERE TOKEN = ?
