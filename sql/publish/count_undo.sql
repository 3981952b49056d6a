-- Answers rows and exact money that the run says it can restore, by region, fate and currency; new sales have no money.
SELECT 'undo', REGION, UNDO_FATE, CURRENCY, COUNT(*), ${tally_sums}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER = ?
GROUP BY REGION, UNDO_FATE, CURRENCY
