-- Counts the rows of a table to be adopted that repeat a key, have a key in a form that its source does not write, are
-- of an unknown region, have an invalid token, have attributes that are no JSON object, are of the future, have a year,
-- month or day that is not that of the sale, break a rule, or lack a value, for each column that needs one. Each must
-- be 0.
SELECT
    COUNT(SALE_ID) - COUNT(DISTINCT SALE_ID),
    COUNT_IF(STARTSWITH(SALE_ID, REGION || ':') <> (${has_prefix})),
    COUNT_IF(REGION NOT IN (${known_regions})),
    COUNT_IF(NOT REGEXP_LIKE(CUSTOMER_EMAIL_TOKEN, '[0-9a-f]{64}')),
    COUNT_IF(${attributes_are_no_object}),
    COUNT_IF(SALE_DATE > CURRENT_TIMESTAMP() OR UPDATED_AT > CURRENT_TIMESTAMP()),
    COUNT_IF(
        SALE_YEAR <> DATE_PART(YEAR, CONVERT_TIMEZONE('UTC', SALE_DATE))
        OR SALE_MONTH <> DATE_PART(MONTH, CONVERT_TIMEZONE('UTC', SALE_DATE))
        OR SALE_DAY <> DATE_PART(DAY, CONVERT_TIMEZONE('UTC', SALE_DATE))
    ),
    (SELECT COUNT(*) FROM (${broken_rules}) AS BROKEN),
    ${lacking_values}
FROM ANALYTICS.SALES_FACT
