-- Guarantees: no sale that the runs have inserted or changed stands in the fact table, whoever wrote it last.
DELETE FROM ANALYTICS.SALES_FACT
WHERE ETL_FIRST_RUN_NUMBER IN (${runs}) OR EXISTS (
    SELECT 1
    FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
    WHERE UNDO.UNDO_RUN_NUMBER IN (${runs})
        AND UNDO.SALE_ID = SALES_FACT.SALE_ID
        AND UNDO.REGION = SALES_FACT.REGION
)
