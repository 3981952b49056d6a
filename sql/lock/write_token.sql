-- Guarantees: the token of the run that wants the lock is written, unless the token of another run that is about to
-- take the lock is still fresh. Waits while the lock is held.
UPDATE ANALYTICS.ETL_LOCK
SET TOKEN = ?, TOKEN_AT = CURRENT_TIMESTAMP()
WHERE TOKEN IS NULL OR TOKEN_AT < DATEADD('second', -${fresh_seconds}, CURRENT_TIMESTAMP())
