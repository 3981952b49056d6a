-- Returns the number and exact money of the run's rejected rows by region, broken rules and currency: their part of the
-- law. Finds them by run number, because a row without a key has nothing else to be found by. Texts that are no currency
-- count as one.
SELECT
    'rejected', REGION_CODE, RULES,
    CASE WHEN REGEXP_LIKE(CURRENCY, '[A-Z]{3}') THEN CURRENCY WHEN CURRENCY IS NOT NULL THEN '(malformed)' END,
    COUNT(*), SUM(CASE WHEN REGEXP_LIKE(DISCOUNT_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN DISCOUNT_AMOUNT::NUMBER(38,2) END), COUNT(CASE WHEN REGEXP_LIKE(DISCOUNT_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN DISCOUNT_AMOUNT::NUMBER(38,2) END),
    SUM(CASE WHEN REGEXP_LIKE(TAX_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN TAX_AMOUNT::NUMBER(38,2) END), COUNT(CASE WHEN REGEXP_LIKE(TAX_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN TAX_AMOUNT::NUMBER(38,2) END),
    SUM(CASE WHEN REGEXP_LIKE(TOTAL_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN TOTAL_AMOUNT::NUMBER(38,2) END), COUNT(CASE WHEN REGEXP_LIKE(TOTAL_AMOUNT, '-?[0-9]{1,10}[.][0-9]{2}') THEN TOTAL_AMOUNT::NUMBER(38,2) END),
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0,
    NULL, 0, 0
FROM ANALYTICS.SALES_REJECTIONS
WHERE ETL_RUN_NUMBER = ?
GROUP BY 2, 3, 4
