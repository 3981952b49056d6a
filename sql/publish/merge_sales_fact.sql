-- Guarantees: writes the inserted and updated sales and no others; a key of another region is never touched,
-- nor is an attribute that was not read, nor the run that first inserted a sale. A sale that stands is looked for on the
-- date on which it stands; a new one has no such date, and nothing is looked for.
MERGE INTO ANALYTICS.SALES_FACT AS FACT
USING (
    SELECT STAGED.*, SNAPSHOTS.SNAPSHOT_AT, STANDING.SALE_DATE AS STOOD_ON
    FROM ${clean_table} AS STAGED
    INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
    INNER JOIN (${snapshots}) AS SNAPSHOTS ON SNAPSHOTS.REGION = STAGED.REGION
    LEFT JOIN ${standing_table} AS STANDING ON STANDING.SALE_ID = STAGED.SALE_ID AND STANDING.REGION = STAGED.REGION
    WHERE FATES.FATE IN ('inserted', 'updated')
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
    DELETED_AT = NULL
WHEN NOT MATCHED THEN INSERT (
    ${clean_columns}, ETL_BATCH_ID, ETL_RUN_NUMBER, ETL_FIRST_RUN_NUMBER, ETL_SNAPSHOT_AT, ETL_INSERTED_AT,
    ETL_UPDATED_AT, IS_DELETED
) VALUES (
    ${staged_clean_columns}, '${batch_id}', ${run_number}, ${run_number}, STAGED.SNAPSHOT_AT, CURRENT_TIMESTAMP(),
    CURRENT_TIMESTAMP(), FALSE
)
