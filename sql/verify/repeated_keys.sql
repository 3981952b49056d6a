-- Answers how many rows of the fact table repeat a key of the batch, of no region and without sums: must be 0.
SELECT 'repeated', '', '', COUNT(*) - COUNT(DISTINCT SALE_ID), ${no_tally_sums}, 0
FROM ANALYTICS.SALES_FACT
WHERE SALE_ID IN (SELECT SALE_ID FROM ${clean_table})
