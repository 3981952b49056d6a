-- Guarantees: a past that went with a dropped undo log cannot be queried. Runs before the table is created again, which
-- may be in another try of the set-up; the last script records since when there is a past.
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS PAST_SINCE NUMBER(18,0);

UPDATE ANALYTICS.ETL_LOCK
SET PAST_SINCE = NULL;
