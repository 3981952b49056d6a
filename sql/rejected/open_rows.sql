-- Counts the open rejected rows, and those without a key, by region, rules and days since their key was first rejected.
SELECT REGION_CODE, RULES, DATEDIFF('day', FIRST_SEEN_AT, CURRENT_TIMESTAMP()), COUNT(*), COUNT_IF(STATUS = 'NO_KEY')
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS IN (${open_statuses})
GROUP BY REGION_CODE, RULES, DATEDIFF('day', FIRST_SEEN_AT, CURRENT_TIMESTAMP())
