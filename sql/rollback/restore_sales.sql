-- Guarantees: what the runs have changed stands as it was before the first of them, since now; a version between two of them
-- does not return.
INSERT INTO ANALYTICS.SALES_FACT (${version_columns}, ETL_PUBLISH_NUMBER)
SELECT ${version_columns}, (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
