-- Lists the expected batches and regions that are not in production and that no run has recorded as MISSING.
-- EMPTY and ROLLED_BACK count as in production; a region left out was reported when it happened. A date that was loaded
-- before it was over is not in production: part of it is missing.
SELECT EXPECTED.BATCH_ID, EXPECTED.REGION
FROM (${expected}) AS EXPECTED
LEFT JOIN ANALYTICS.ETL_BATCHES_WHOLE_IN_PRODUCTION AS SHOWN
    ON SHOWN.BATCH_ID = EXPECTED.BATCH_ID AND SHOWN.REGION = EXPECTED.REGION
LEFT JOIN (
    SELECT DISTINCT BATCH_ID, REGION
    FROM ANALYTICS.ETL_BATCHES
    WHERE STATUS = 'MISSING'
) AS LEFT_OUT
    ON LEFT_OUT.BATCH_ID = EXPECTED.BATCH_ID AND LEFT_OUT.REGION = EXPECTED.REGION
WHERE SHOWN.BATCH_ID IS NULL AND LEFT_OUT.BATCH_ID IS NULL
ORDER BY EXPECTED.BATCH_ID, EXPECTED.REGION
