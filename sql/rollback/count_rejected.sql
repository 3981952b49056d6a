-- Answers how many rejected rows the runs have brought, replaced and closed.
SELECT
    (SELECT COUNT(*) FROM ANALYTICS.SALES_REJECTED WHERE ETL_RUN_NUMBER IN (${runs})),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_REJECTED_UNDO AS UNDO
        WHERE UNDO_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs}) AND ${is_not_found_bad_again}
    ),
    (
        SELECT COUNT(*)
        FROM ANALYTICS.SALES_REJECTED
        WHERE CLOSED_BY_RUN_NUMBER IN (${runs}) AND ETL_RUN_NUMBER NOT IN (${runs})
    )
