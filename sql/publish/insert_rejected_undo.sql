-- Guarantees: the open rejected rows that this run replaces can be put back.
INSERT INTO ANALYTICS.SALES_REJECTED_UNDO (UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_RECORDED_AT, ${rejected_columns})
SELECT ?, ?, CURRENT_TIMESTAMP(), ${rejected_columns}
FROM ANALYTICS.SALES_REJECTED
WHERE ${replaced}
