-- Guarantees: no other transaction that writes goes on until this one ends, none has ended since the token was written, and
-- those that held the lock are numbered in their order. Must be the first statement of the transaction.
UPDATE ANALYTICS.ETL_LOCK
SET RUN_NUMBER = ?, LOCKED_AT = CURRENT_TIMESTAMP(), ORDINAL = ORDINAL + 1, TOKEN = NULL
WHERE TOKEN = ?
