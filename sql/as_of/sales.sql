-- Answers the fact table as it was right after a publish, by the number of its transaction (ETL_BATCHES.ORDINAL): what has
-- stood since then or before, and what stood then and was taken away later. No row where that past is not known any more.
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
