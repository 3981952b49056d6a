-- Guarantees: analysts read sales and how complete they are, from views whose columns have comments. Set-up again after
-- a region was added or has another time zone or first date.
CREATE OR REPLACE VIEW ANALYTICS.SALES (
    ${sales_columns}
)
COPY GRANTS
COMMENT = ${sales_comment}
AS
SELECT
    ${clean_columns},
    ${sale_date_local},
    SALE_DATE::DATE,
    ETL_BATCH_ID,
    ETL_INSERTED_AT,
    ETL_UPDATED_AT
FROM ANALYTICS.SALES_FACT
WHERE NOT COALESCE(IS_DELETED, FALSE);

-- The state of a date and region by sql/ledger/states.sql, the rule by which backfill finds gaps; the words are those
-- of the grid in tasks/pages/ledger_grid.py. A region that is not configured has the dates of the ledger alone: it is
-- not expected on others.
CREATE OR REPLACE VIEW ANALYTICS.DATA_STATUS (
    ${data_status_columns}
)
COPY GRANTS
COMMENT = ${data_status_comment}
AS
WITH STATES AS (
    -- TRY_: a conversion may be tried before other batches are left out.
    SELECT TRY_TO_DATE(BATCH_ID, 'YYYYMMDD') AS UTC_DATE, BATCH_ID, REGION, STATUS, IN_PRODUCTION, UNDER_WAY
    FROM (
        ${ledger_states}
    ) AS LEDGER
    WHERE BATCH_ID < 'A'
),
DAYS AS (
    -- GENERATOR takes a constant: the days of a century back from the last one, of which those of the ledger are kept.
    SELECT DATEADD('day', -COUNTED.N, KNOWN.LAST_DATE)::DATE AS UTC_DATE
    FROM (
        SELECT ROW_NUMBER() OVER (ORDER BY SEQ4()) - 1 AS N
        FROM TABLE(GENERATOR(ROWCOUNT => 36525))
    ) AS COUNTED
    INNER JOIN (
        SELECT
            TRY_TO_DATE(FIRST_BATCH_ID, 'YYYYMMDD') AS FIRST_DATE,
            GREATEST(TRY_TO_DATE(LAST_BATCH_ID, 'YYYYMMDD'), DATEADD('day', -1, SYSDATE()::DATE)::DATE) AS LAST_DATE
        FROM (
            ${ledger_dates}
        ) AS LEDGER
    ) AS KNOWN ON COUNTED.N <= DATEDIFF('day', KNOWN.FIRST_DATE, KNOWN.LAST_DATE)
),
EXPECTED AS (
    SELECT DAYS.UTC_DATE, CONFIGURED.REGION
    FROM DAYS
    INNER JOIN (${configured_regions}) AS CONFIGURED
        ON DAYS.UTC_DATE >= COALESCE(CONFIGURED.FIRST_DATE, DAYS.UTC_DATE)
    UNION
    SELECT UTC_DATE, REGION
    FROM STATES
),
JUDGED AS (
    SELECT
        EXPECTED.UTC_DATE,
        EXPECTED.REGION,
        STATES.BATCH_ID,
        COALESCE(STATES.IN_PRODUCTION IN ('PUBLISHED', 'EMPTY'), FALSE) AS IS_COMPLETE,
        CASE
            WHEN STATES.IN_PRODUCTION = 'PUBLISHED' THEN 'published'
            WHEN STATES.IN_PRODUCTION = 'EMPTY' THEN 'empty'
            WHEN STATES.IN_PRODUCTION = 'ROLLED_BACK' THEN 'rolled back'
            WHEN STATES.UNDER_WAY THEN 'running'
            WHEN STATES.STATUS IS NULL THEN 'missing'
            WHEN STATES.STATUS = 'MISSING' THEN 'left out'
            WHEN STATES.STATUS IN ('STARTED', 'RENEWED') THEN 'died'
            WHEN STATES.STATUS = 'FAILED' THEN 'failed'
            ELSE 'not over'
        END AS STATE,
        CASE
            WHEN STATES.IN_PRODUCTION IS NULL THEN NULL
            WHEN STATES.UNDER_WAY THEN 'running'
            WHEN STATES.STATUS IN ('STARTED', 'RENEWED', 'FAILED', 'MISSING') THEN 'failed'
        END AS RERUN
    FROM EXPECTED
    LEFT JOIN STATES ON STATES.UTC_DATE = EXPECTED.UTC_DATE AND STATES.REGION = EXPECTED.REGION
),
FOLLOWED AS (
    SELECT
        UTC_DATE,
        REGION,
        BATCH_ID,
        IS_COMPLETE,
        STATE,
        RERUN,
        ${local_date} AS LOCAL_DATE,
        IS_COMPLETE
        AND COALESCE(LAG(IS_COMPLETE) OVER (PARTITION BY REGION ORDER BY UTC_DATE), FALSE)
        AND LAG(UTC_DATE) OVER (PARTITION BY REGION ORDER BY UTC_DATE) = DATEADD('day', -1, UTC_DATE)::DATE
            AS IS_LOCAL_DATE_COMPLETE
    FROM JUDGED
),
CHANGES AS (
    -- The publish since which a version stands is a later one where a rollback has restored it.
    SELECT MOVED.UTC_DATE, MOVED.REGION, MAX(COALESCE(ENTRY.PUBLISHED_AT, MOVED.CHANGED_AT)) AS LAST_CHANGED_AT
    FROM (
        SELECT
            SALE_DATE::DATE AS UTC_DATE,
            REGION,
            MAX(ETL_PUBLISH_NUMBER) AS PUBLISH_NUMBER,
            MAX(ETL_UPDATED_AT) AS CHANGED_AT
        FROM ANALYTICS.SALES_FACT
        GROUP BY 1, 2
        UNION ALL
        SELECT
            SALE_DATE::DATE,
            REGION,
            MAX(UNDO_PUBLISH_NUMBER),
            MAX(UNDO_RECORDED_AT)
        FROM ANALYTICS.SALES_FACT_UNDO
        GROUP BY 1, 2
    ) AS MOVED
    LEFT JOIN (
        SELECT ORDINAL, MIN(RECORDED_AT) AS PUBLISHED_AT
        FROM ANALYTICS.ETL_BATCHES
        WHERE ORDINAL IS NOT NULL
        GROUP BY ORDINAL
    ) AS ENTRY ON ENTRY.ORDINAL = MOVED.PUBLISH_NUMBER
    GROUP BY MOVED.UTC_DATE, MOVED.REGION
)
SELECT
    FOLLOWED.UTC_DATE,
    FOLLOWED.REGION,
    FOLLOWED.IS_COMPLETE,
    FOLLOWED.STATE,
    FOLLOWED.RERUN,
    SHOWN.SNAPSHOT_AT,
    SHOWN.EXTRACTED,
    (CASE WHEN SHOWN.STATUS = 'EMPTY' THEN 0 ELSE SHOWN.REJECTED END)::NUMBER(18,0),
    (SHOWN.REJECTED / NULLIF(SHOWN.EXTRACTED, 0))::NUMBER(7,6),
    CHANGES.LAST_CHANGED_AT,
    FOLLOWED.LOCAL_DATE,
    FOLLOWED.IS_LOCAL_DATE_COMPLETE
FROM FOLLOWED
LEFT JOIN ANALYTICS.ETL_BATCHES_IN_PRODUCTION AS SHOWN
    ON SHOWN.BATCH_ID = FOLLOWED.BATCH_ID
    AND SHOWN.REGION = FOLLOWED.REGION
    AND SHOWN.STATUS IN ('PUBLISHED', 'EMPTY')
LEFT JOIN CHANGES ON CHANGES.UTC_DATE = FOLLOWED.UTC_DATE AND CHANGES.REGION = FOLLOWED.REGION;
