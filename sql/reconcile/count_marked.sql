-- Answers how many sales a run has marked and how many it can put back, by region, and how many of these do not stand in
-- the fact table as they were.
SELECT UNDO.REGION, COUNT(FACT.SALE_ID), COUNT(*), COUNT_IF(FACT.SALE_ID IS NULL OR NOT (
    ${nothing_else_differs}
))
FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
LEFT JOIN ANALYTICS.SALES_FACT AS FACT
    ON FACT.SALE_ID = UNDO.SALE_ID
    AND FACT.REGION = UNDO.REGION
    AND FACT.ETL_RUN_NUMBER = UNDO.UNDO_RUN_NUMBER
    AND FACT.DELETED_AT IS NOT NULL
WHERE UNDO.UNDO_RUN_NUMBER = ?
GROUP BY UNDO.REGION
ORDER BY UNDO.REGION
