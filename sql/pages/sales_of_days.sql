-- Counts the sales of some days (UTC), with their revenue, by region, day and currency; without those that are marked
-- as deleted.
SELECT REGION, TO_VARCHAR(SALE_DATE, 'YYYY-MM-DD'), CURRENCY, COUNT(*), SUM(TOTAL_AMOUNT)
FROM ANALYTICS.SALES_FACT
WHERE (${on_days}) AND NOT COALESCE(IS_DELETED, FALSE)
GROUP BY REGION, TO_VARCHAR(SALE_DATE, 'YYYY-MM-DD'), CURRENCY
