-- Guarantees: the rejected rows that the runs have closed are open again.
UPDATE ANALYTICS.SALES_REJECTED
SET
    STATUS = CASE WHEN STARTSWITH(ETL_BATCH_ID, '${replay}') THEN 'STILL_BAD' ELSE 'OPEN' END,
    CLOSED_AT = NULL,
    CLOSED_BY_RUN_NUMBER = NULL
WHERE CLOSED_BY_RUN_NUMBER IN (${runs})
