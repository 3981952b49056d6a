-- Answers how many sales the run says it can undo, by region and fate.
SELECT REGION, UNDO_FATE, COUNT(*)
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER = ?
GROUP BY REGION, UNDO_FATE
