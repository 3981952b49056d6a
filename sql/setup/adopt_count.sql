-- Answers how many rows of a table that is to be adopted have no value where one is needed, repeat a key, are of a region
-- that nobody knows, have a token that is none, and break a rule: each must be 0.
SELECT
    COUNT_IF(${a_value_is_lacking}),
    COUNT(*) - COUNT(DISTINCT SALE_ID) - COUNT_IF(SALE_ID IS NULL),
    COUNT_IF(REGION NOT IN (${known_regions})),
    COUNT_IF(NOT REGEXP_LIKE(CUSTOMER_EMAIL_TOKEN, '[0-9a-f]{64}')),
    (SELECT COUNT(*) FROM (${broken_rules}) AS BROKEN)
FROM ANALYTICS.SALES_FACT
