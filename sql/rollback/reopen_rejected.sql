-- Guarantees: the rejected rows that the runs have closed are open again.
UPDATE ANALYTICS.SALES_REJECTED
SET
    ${reopened}
WHERE CLOSED_BY_RUN_NUMBER IN (${runs})
