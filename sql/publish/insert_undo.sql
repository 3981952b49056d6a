-- Guarantees: whatever the MERGE after it changes can be undone: which sales are new, and what the others were before.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_FATE, UNDO_RECORDED_AT,
    SALE_ID, REGION, ${attribute_columns},
    ${load_columns}
)
SELECT
    ?, ?, FATES.FATE, CURRENT_TIMESTAMP(),
    FATES.SALE_ID, FATES.REGION, ${fact_attribute_columns},
    ${fact_load_columns}
FROM ${fates_table} AS FATES
LEFT JOIN ANALYTICS.SALES_FACT AS FACT ON FACT.SALE_ID = FATES.SALE_ID AND FACT.REGION = FATES.REGION
WHERE FATES.FATE IN ('inserted', 'updated')
