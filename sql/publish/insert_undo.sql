-- Guarantees: whatever the MERGE after it replaces can be put back. Of new sales the fact table keeps the run that first
-- inserted them.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, ${fact_columns})
SELECT ?, ?, CURRENT_TIMESTAMP(), ${all_fact_columns}
FROM ${fates_table} AS FATES
INNER JOIN ${standing_table} AS FACT ON FACT.SALE_ID = FATES.SALE_ID AND FACT.REGION = FATES.REGION
WHERE FATES.FATE = 'updated'
