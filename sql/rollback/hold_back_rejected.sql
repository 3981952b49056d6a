-- Guarantees: the undo log keeps the keys of the sales that heals among the runs had rejected, as held back. Runs when the
-- sales are back, and before the rejected rows go.
INSERT INTO ANALYTICS.SALES_FACT_UNDO (UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_FATE, UNDO_RECORDED_AT, SALE_ID, REGION)
SELECT DISTINCT ETL_RUN_NUMBER, ETL_BATCH_ID, 'held_back', CURRENT_TIMESTAMP(), SALE_KEY, REGION_CODE
FROM ANALYTICS.SALES_REJECTED
WHERE ETL_RUN_NUMBER IN (${runs}) AND STARTSWITH(ETL_BATCH_ID, '${heal}') AND SALE_KEY IS NOT NULL
