-- Answers rows and exact money that the fact table now holds for the batch's keys, by region, fate and currency: the
-- other side of the law. Joins by key, never by batch id, so that a row written elsewhere cannot hide.
SELECT FACT.REGION, FATES.FATE, FACT.CURRENCY, COUNT(*), SUM(FACT.DISCOUNT_AMOUNT::NUMBER(38,2)), COUNT(FACT.DISCOUNT_AMOUNT), SUM(FACT.TAX_AMOUNT::NUMBER(38,2)), COUNT(FACT.TAX_AMOUNT), SUM(FACT.TOTAL_AMOUNT::NUMBER(38,2)), COUNT(FACT.TOTAL_AMOUNT)
FROM STAGING.FATES_000042 AS FATES
INNER JOIN ANALYTICS.SALES_FACT AS FACT ON FACT.SALE_ID = FATES.SALE_ID AND FACT.REGION = FATES.REGION
WHERE FATES.FATE IN ('inserted', 'updated', 'unchanged')
GROUP BY FACT.REGION, FATES.FATE, FACT.CURRENCY
