-- Guarantees: versions that the following MERGE replaces can be restored, and the time for which they stood is known.
-- For new sales the fact table keeps the run that first inserted them.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, UNDO_PUBLISH_NUMBER, ${fact_columns}
)
SELECT ?, ?, CURRENT_TIMESTAMP(), HELD.ORDINAL, ${all_fact_columns}
FROM ${fates_table} AS FATES
INNER JOIN ${standing_table} AS FACT ON FACT.SALE_ID = FATES.SALE_ID AND FACT.REGION = FATES.REGION
CROSS JOIN ANALYTICS.ETL_LOCK AS HELD
WHERE FATES.FATE = 'updated'
