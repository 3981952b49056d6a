-- Returns the number, exact money and a fingerprint of all columns of the sales that the following MERGE replaces, by
-- region and currency: the undo log must hold them. Reads the fact table, not the attempt's copy, by these keys and
-- dates.
SELECT 'fact', FACT.REGION, FATES.FATE, FACT.CURRENCY, COUNT(*), ${fact_tally_sums},
    HASH_AGG(${all_fact_columns})
FROM ANALYTICS.SALES_FACT AS FACT
INNER JOIN (SELECT DISTINCT SALE_DATE FROM ${standing_table}) AS DATES ON DATES.SALE_DATE = FACT.SALE_DATE
INNER JOIN ${fates_table} AS FATES ON FATES.SALE_ID = FACT.SALE_ID
WHERE FATES.FATE = 'updated'
GROUP BY FACT.REGION, FATES.FATE, FACT.CURRENCY
