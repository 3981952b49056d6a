-- Guarantees: what a warehouse of an earlier version lacks in its rows is filled in. Under the lock, like all that changes
-- rows.
UPDATE ANALYTICS.SALES_FACT
SET IS_DELETED = FALSE
WHERE IS_DELETED IS NULL;

UPDATE ANALYTICS.SALES_FACT_UNDO
SET IS_DELETED = FALSE
WHERE IS_DELETED IS NULL;
