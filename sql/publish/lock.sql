-- Guarantees: no other publish goes on until this transaction ends, and the transactions that held the lock are numbered
-- in their order. Must be its first statement: under READ COMMITTED each later statement could otherwise see another
-- commit.
UPDATE ANALYTICS.ETL_LOCK
SET RUN_NUMBER = ?, LOCKED_AT = CURRENT_TIMESTAMP(), ORDINAL = ORDINAL + 1
