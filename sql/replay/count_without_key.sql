-- Counts the rejected rows of some regions that have no key to be read again by.
SELECT REGION_CODE, COUNT(*)
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS = 'NO_KEY' AND REGION_CODE IN (${regions})
GROUP BY REGION_CODE
