-- Guarantees: no other transaction that writes goes on until this one ends, none has ended since the token was written,
-- those that held the lock are numbered in their order, and the tables are those that this code knows. Must be the first
-- statement of the transaction.
UPDATE ANALYTICS.ETL_LOCK
SET RUN_NUMBER = ?, LOCKED_AT = CURRENT_TIMESTAMP(), ORDINAL = ORDINAL + 1, TOKEN = NULL
WHERE TOKEN = ?${of_known_tables}
