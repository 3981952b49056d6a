-- Guarantees: versions that leave the fact table next are kept, with the time for which they stood.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, UNDO_PUBLISH_NUMBER, ${fact_columns}
)
SELECT ?, ETL_BATCH_ID, CURRENT_TIMESTAMP(), (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK), ${fact_columns}
FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER IN (${runs})
