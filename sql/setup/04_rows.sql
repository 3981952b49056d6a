-- Guarantees: values that rows of an earlier version lack are filled in. Runs under the lock, like all that changes
-- rows.
UPDATE ANALYTICS.SALES_FACT
SET IS_DELETED = FALSE
WHERE IS_DELETED IS NULL;

UPDATE ANALYTICS.SALES_FACT_UNDO
SET IS_DELETED = FALSE
WHERE IS_DELETED IS NULL;
