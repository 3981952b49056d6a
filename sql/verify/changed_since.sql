-- Returns the number and exact money, by region and currency, of the staged rows that publish put into the fact table
-- and another run has changed since, by the ledger: they need not match any more, and are no difference. Neither run
-- numbers nor times decide: of two concurrent dates, the one with the lower number may publish last.
SELECT STAGED.REGION, STAGED.CURRENCY, COUNT(*), ${staged_tally_sums}
FROM (
    SELECT ${compared_columns}${read_values}
    FROM ${clean_table}
    EXCEPT
    SELECT ${compared_columns}${read_values}
    FROM ANALYTICS.SALES_FACT
    WHERE DELETED_AT IS NULL AND SALE_ID IN (SELECT SALE_ID FROM ${clean_table})
) AS STAGED
INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
INNER JOIN ANALYTICS.SALES_FACT AS FACT ON FACT.SALE_ID = STAGED.SALE_ID AND FACT.REGION = STAGED.REGION
INNER JOIN (
    SELECT RUN_NUMBER, REGION, MAX(ORDINAL) AS PUBLISHED_AS
    FROM ANALYTICS.ETL_BATCHES
    WHERE STATUS = 'PUBLISHED'
    GROUP BY RUN_NUMBER, REGION
) AS WRITING ON WRITING.RUN_NUMBER = FACT.ETL_RUN_NUMBER AND WRITING.REGION = FACT.REGION
WHERE FATES.FATE IN ('inserted', 'updated', 'unchanged') AND WRITING.PUBLISHED_AS > (
    SELECT MAX(ORDINAL)
    FROM ANALYTICS.ETL_BATCHES
    WHERE RUN_NUMBER = ? AND STATUS = 'PUBLISHED'
)
GROUP BY STAGED.REGION, STAGED.CURRENCY
