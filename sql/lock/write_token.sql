-- Guarantees: the token of one who wants the lock stands, unless that of another is fresh, who is about to take it. Waits
-- while the lock is held.
UPDATE ANALYTICS.ETL_LOCK
SET TOKEN = ?, TOKEN_AT = CURRENT_TIMESTAMP()
WHERE TOKEN IS NULL OR TOKEN_AT < DATEADD('second', -${fresh_seconds}, CURRENT_TIMESTAMP())
