-- Guarantees: the sales that have got a newer version hold it, and no others are touched: none of another region, no
-- attribute that was not read, not the run that first inserted a sale. Each is looked for on the date on which it stands.
MERGE INTO ANALYTICS.SALES_FACT AS FACT
USING (
    SELECT STAGED.*, SNAPSHOTS.SNAPSHOT_AT, STANDING.SALE_DATE AS STOOD_ON, HELD.ORDINAL AS PUBLISH_NUMBER
    FROM ${clean_table} AS STAGED
    INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
    INNER JOIN ${standing_table} AS STANDING ON STANDING.REGION = STAGED.REGION AND STANDING.SALE_ID = STAGED.SALE_ID
    INNER JOIN (${snapshots}) AS SNAPSHOTS ON SNAPSHOTS.REGION = STAGED.REGION
    CROSS JOIN ANALYTICS.ETL_LOCK AS HELD
    WHERE FATES.FATE = 'updated'
) AS STAGED
ON FACT.SALE_DATE = STAGED.STOOD_ON AND FACT.SALE_ID = STAGED.SALE_ID
WHEN MATCHED AND FACT.REGION = STAGED.REGION THEN UPDATE SET
    ${update_assignments},
    EXTRA_ATTRIBUTES = ${written_attributes},
    ETL_BATCH_ID = '${batch_id}',
    ETL_RUN_NUMBER = ${run_number},
    ETL_SNAPSHOT_AT = STAGED.SNAPSHOT_AT,
    ETL_UPDATED_AT = CURRENT_TIMESTAMP(),
    IS_DELETED = FALSE,
    DELETED_AT = NULL,
    ETL_PUBLISH_NUMBER = STAGED.PUBLISH_NUMBER
