-- Answers rows and exact money that the run says it can restore, by region, fate and currency.
SELECT 'undo', REGION, 'updated', CURRENCY, COUNT(*), ${tally_sums}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER = ?
GROUP BY REGION, CURRENCY
