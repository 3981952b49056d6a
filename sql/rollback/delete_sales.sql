-- Guarantees: no sale of which the runs have replaced a version stands in the fact table, whoever wrote it last.
DELETE FROM ANALYTICS.SALES_FACT
WHERE EXISTS (
    SELECT 1
    FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
    WHERE UNDO.UNDO_RUN_NUMBER IN (${runs})
        AND UNDO.SALE_ID = SALES_FACT.SALE_ID
        AND UNDO.REGION = SALES_FACT.REGION
)
