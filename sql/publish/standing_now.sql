-- Answers the sales of the batch's keys and of its rejected rows' keys as they stand after the MERGE: the run's own, and those
-- that stood before and were not replaced.
SELECT SALE_ID, REGION, UPDATED_AT, DELETED_AT, ETL_RUN_NUMBER
FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER = ${run_number}
UNION ALL
SELECT STANDING.SALE_ID, STANDING.REGION, STANDING.UPDATED_AT, STANDING.DELETED_AT, STANDING.ETL_RUN_NUMBER
FROM ${standing_table} AS STANDING
LEFT JOIN ${fates_table} AS FATES
    ON FATES.SALE_ID = STANDING.SALE_ID AND FATES.REGION = STANDING.REGION AND FATES.FATE = 'updated'
WHERE FATES.SALE_ID IS NULL
