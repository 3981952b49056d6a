-- Guarantees: what the runs have changed stands as it was before the first of them; a version between two of them does not
-- return.
INSERT INTO ANALYTICS.SALES_FACT (${fact_columns})
SELECT ${fact_columns}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
