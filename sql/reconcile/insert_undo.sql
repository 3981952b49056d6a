-- Guarantees: the sales that are marked as deleted next can be restored unchanged.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, UNDO_PUBLISH_NUMBER, ${fact_columns}
)
SELECT ?, ?, CURRENT_TIMESTAMP(), (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK), ${fact_columns}
FROM ANALYTICS.SALES_FACT
WHERE ${is_gone}
