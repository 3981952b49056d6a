-- Counts the rows of the fact table that repeat a key of the batch, without region and sums. Must be 0.
SELECT 'repeated', '', '', COUNT(*) - COUNT(DISTINCT SALE_ID), ${no_tally_sums}, 0
FROM ANALYTICS.SALES_FACT
WHERE SALE_ID IN (SELECT SALE_ID FROM ${clean_table})
