-- Guarantees: the new sales are in the fact table, each with this run as the one that first inserted it. Reads nothing
-- of the table: the law checks afterwards that each key occurs once.
INSERT INTO ANALYTICS.SALES_FACT (
    ${clean_columns}, ETL_BATCH_ID, ETL_RUN_NUMBER, ETL_FIRST_RUN_NUMBER, ETL_SNAPSHOT_AT, ETL_INSERTED_AT,
    ETL_UPDATED_AT, IS_DELETED, ETL_PUBLISH_NUMBER
)
SELECT
    ${staged_clean_columns}, '${batch_id}', ${run_number}, ${run_number}, SNAPSHOTS.SNAPSHOT_AT, CURRENT_TIMESTAMP(),
    CURRENT_TIMESTAMP(), FALSE, HELD.ORDINAL
FROM ${clean_table} AS STAGED
INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
INNER JOIN (${snapshots}) AS SNAPSHOTS ON SNAPSHOTS.REGION = STAGED.REGION
CROSS JOIN ANALYTICS.ETL_LOCK AS HELD
WHERE FATES.FATE = 'inserted'
