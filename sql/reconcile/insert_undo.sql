-- Guarantees: the sales that are marked as deleted after it can be put back as they were.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, ${fact_columns})
SELECT ?, ?, CURRENT_TIMESTAMP(), ${fact_columns}
FROM ANALYTICS.SALES_FACT
WHERE ${is_gone}
