-- Guarantees: a rejected row of a sale that the runs have changed is open when nothing in the fact table stands for it any
-- more, whichever run has closed it.
UPDATE ANALYTICS.SALES_REJECTED
SET
    ${reopened}
WHERE STATUS = '${status}' AND EXISTS (
    SELECT 1
    FROM ANALYTICS.SALES_FACT_UNDO AS UNDO
    WHERE UNDO.UNDO_RUN_NUMBER IN (${runs})
        AND UNDO.SALE_ID = SALES_REJECTED.SALE_KEY
        AND UNDO.REGION = SALES_REJECTED.REGION_CODE
) AND NOT EXISTS (
    ${covering}
)
