-- Answers what has become of the rejected rows that a replay has read again, by region and status.
SELECT REGION_CODE, STATUS, COUNT(*)
FROM ANALYTICS.SALES_REJECTED
WHERE (CLOSED_BY_RUN_NUMBER = ? AND STATUS IN ('RELEASED', 'GONE')) OR (ETL_RUN_NUMBER = ? AND STATUS = 'STILL_BAD')
GROUP BY REGION_CODE, STATUS
