-- Guarantees: the open rejected rows that the runs have replaced are back, but for those whose key a later replay, or a
-- newer run of their own batch, has found bad again: its row stands for them.
INSERT INTO ANALYTICS.SALES_REJECTED (${rejected_columns})
SELECT ${rejected_columns}
FROM ANALYTICS.SALES_REJECTED_UNDO AS UNDO
WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs}) AND ${is_not_found_bad_again}
