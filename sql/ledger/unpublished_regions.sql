-- Answers batch and region of the expected ones that production does not show and that no run has left out with a word.
-- What was empty or rolled back is shown too; a region left out was told when it happened. A date that was loaded before
-- it was over is not shown: its rest is lacking.
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
