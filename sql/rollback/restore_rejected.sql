-- Guarantees: the open rejected rows that the runs have replaced are back.
INSERT INTO ANALYTICS.SALES_REJECTED (${rejected_columns})
SELECT ${rejected_columns}
FROM ANALYTICS.SALES_REJECTED_UNDO
WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
