-- Guarantees: the rejected rows of version 1 have the column that version 2 added.
ALTER TABLE ANALYTICS.SALES_REJECTED ADD COLUMN IF NOT EXISTS CLOSED_BY_RUN_NUMBER NUMBER(18,0)
