-- Guarantees: sales that the runs have changed stand again as before the first of them, from this transaction on;
-- versions between two of the runs do not return.
INSERT INTO ANALYTICS.SALES_FACT (${version_columns}, ETL_PUBLISH_NUMBER)
SELECT ${version_columns}, (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
