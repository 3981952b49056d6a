-- Guarantees: the rejected rows that the runs have closed are open again.
UPDATE ANALYTICS.SALES_REJECTED
SET STATUS = 'OPEN', CLOSED_AT = NULL, CLOSED_BY_RUN_NUMBER = NULL
WHERE CLOSED_BY_RUN_NUMBER IN (${runs})
