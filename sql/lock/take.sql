-- Guarantees: no other writing transaction goes on until this one ends, none has ended since the token was written,
-- transactions that held the lock are numbered in order, and the tables are of the version that this code knows. Must
-- be the first statement of the transaction.
UPDATE ANALYTICS.ETL_LOCK
SET RUN_NUMBER = ?, LOCKED_AT = CURRENT_TIMESTAMP(), ORDINAL = ORDINAL + 1, TOKEN = NULL
WHERE TOKEN = ?${of_known_tables}
