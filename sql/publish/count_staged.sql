-- Returns the number and exact money of the staged clean rows by region, fate and currency: one side of the law.
SELECT 'staged', STAGED.REGION, FATES.FATE, STAGED.CURRENCY, COUNT(*), ${staged_tally_sums}, 0
FROM ${clean_table} AS STAGED
INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
GROUP BY STAGED.REGION, FATES.FATE, STAGED.CURRENCY
