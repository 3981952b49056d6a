-- Guarantees: rejected rows whose keys the run has looked for in vain, later than they were read, are work no more.
UPDATE ANALYTICS.SALES_REJECTED
SET STATUS = 'GONE', CLOSED_AT = CURRENT_TIMESTAMP(), CLOSED_BY_RUN_NUMBER = ?
WHERE STATUS IN ('OPEN', 'STILL_BAD')
    AND REGION_CODE = ?
    AND SALE_ID IN (${sale_ids})
    AND ETL_SNAPSHOT_AT <= (SELECT SNAPSHOT_AT FROM (${snapshots}) AS SNAPSHOTS WHERE REGION = ?)
