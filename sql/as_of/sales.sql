-- Returns the fact table right after a publish, by the number of its transaction (ETL_BATCHES.ORDINAL): the versions
-- that still stand, and those that were taken away later. Returns no row where that past is no longer known.
SELECT ${version_values}
FROM ANALYTICS.SALES_FACT
WHERE COALESCE(ETL_PUBLISH_NUMBER, 0) <= ${publish}
    AND ${publish} >= (SELECT PAST_SINCE FROM ANALYTICS.ETL_LOCK)
UNION ALL
SELECT ${version_values}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE COALESCE(ETL_PUBLISH_NUMBER, 0) <= ${publish}
    AND UNDO_PUBLISH_NUMBER > ${publish}
    AND ${publish} >= (SELECT PAST_SINCE FROM ANALYTICS.ETL_LOCK)
