-- Answers the keys of a region's sales that a heal had changed before somebody rolled it back, and that no run has written
-- since: another heal must not bring them back.
SELECT DISTINCT UNDO.SALE_ID
FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
LEFT JOIN ANALYTICS.SALES_FACT AS FACT
    ON FACT.SALE_ID = UNDO.SALE_ID
    AND FACT.REGION = UNDO.REGION
    AND FACT.ETL_RUN_NUMBER > UNDO.UNDO_RUN_NUMBER
WHERE UNDO.REGION = ? AND UNDO.UNDO_FATE = 'held_back' AND FACT.SALE_ID IS NULL
