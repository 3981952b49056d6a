-- Guarantees: analysts read sales and how complete they are, from views whose columns have comments. Set-up again after
-- a region was added or has another time zone or first date.
CREATE OR REPLACE VIEW ANALYTICS.SALES (
    SALE_ID COMMENT 'Business key of the sale, unique across all regions.',
    SALE_DATE COMMENT 'When the sale happened (UTC).',
    STORE_ID COMMENT 'Store that sold.',
    CUSTOMER_ID COMMENT 'Customer who bought.',
    CUSTOMER_EMAIL_TOKEN COMMENT 'Keyed token of the customer''s e-mail address: equal for equal addresses.',
    PRODUCT_ID COMMENT 'Product sold.',
    PRODUCT_CATEGORY COMMENT 'Category of the product.',
    QUANTITY COMMENT 'Units sold; millilitres for fuel.',
    UNIT_PRICE COMMENT 'Gross price of one unit in `currency`; may be below a cent.',
    DISCOUNT_AMOUNT COMMENT 'Discount in `currency`.',
    TAX_AMOUNT COMMENT 'Tax contained in the total, in `currency`.',
    TOTAL_AMOUNT COMMENT 'Gross amount in `currency`: before discount, tax included.',
    CURRENCY COMMENT 'ISO 4217 code of the amounts.',
    PAYMENT_METHOD COMMENT 'How the customer paid.',
    REGION COMMENT 'Code of the region that sold.',
    UPDATED_AT COMMENT 'When the row last changed at the source (UTC).',
    EXTRA_ATTRIBUTES COMMENT 'Source columns beyond the contract that the variable `extra_columns` names, as JSON text.',
    NET_AMOUNT COMMENT 'total_amount - discount_amount.',
    GROSS_PROFIT COMMENT 'net_amount - tax_amount.',
    SALE_YEAR COMMENT 'Year of sale_date (UTC).',
    SALE_MONTH COMMENT 'Month of sale_date (UTC), 1 to 12.',
    SALE_DAY COMMENT 'Day of the month of sale_date (UTC), 1 to 31.',
    SALE_DATE_LOCAL COMMENT 'SALE_DATE by the clock of the region; NULL for a region no longer configured.',
    UTC_DATE COMMENT 'UTC day of SALE_DATE; with REGION it leads to DATA_STATUS.',
    ETL_BATCH_ID COMMENT 'Batch that wrote this version of the sale.',
    ETL_INSERTED_AT COMMENT 'When the sale was first published (UTC).',
    ETL_UPDATED_AT COMMENT 'When this version was published (UTC).'
)
COPY GRANTS
COMMENT = 'Published sales of all regions, without those that their source no longer holds. Add amounts per CURRENCY only'
AS
SELECT
    SALE_ID, SALE_DATE, STORE_ID, CUSTOMER_ID, CUSTOMER_EMAIL_TOKEN, PRODUCT_ID, PRODUCT_CATEGORY, QUANTITY, UNIT_PRICE, DISCOUNT_AMOUNT, TAX_AMOUNT, TOTAL_AMOUNT, CURRENCY, PAYMENT_METHOD, REGION, UPDATED_AT, EXTRA_ATTRIBUTES, NET_AMOUNT, GROSS_PROFIT, SALE_YEAR, SALE_MONTH, SALE_DAY,
    CASE REGION
        WHEN 'US_EAST' THEN CONVERT_TIMEZONE('America/New_York', SALE_DATE)::TIMESTAMP_NTZ(6)
        WHEN 'US_WEST' THEN CONVERT_TIMEZONE('America/Los_Angeles', SALE_DATE)::TIMESTAMP_NTZ(6)
        WHEN 'EUROPE' THEN CONVERT_TIMEZONE('Europe/Berlin', SALE_DATE)::TIMESTAMP_NTZ(6)
        WHEN 'ASIA_PACIFIC' THEN CONVERT_TIMEZONE('Asia/Singapore', SALE_DATE)::TIMESTAMP_NTZ(6)
    END,
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
    UTC_DATE COMMENT 'UTC day: from the first one ever loaded to yesterday, or the last one in the ledger; before, those tried.',
    REGION COMMENT 'Code of the region.',
    IS_COMPLETE COMMENT 'All that the source held of the day is published, or the day is closed.',
    STATE COMMENT 'What the ledger says of the day: published, empty, rolled back, running, missing, left out, died, failed, not over.',
    RERUN COMMENT 'How a newer run over a day in production fares: running, failed; NULL: there is none, or it ended well.',
    AS_OF COMMENT 'Up to when the source showed everything to the run that is in production (UTC); NULL: none is.',
    ROWS_EXTRACTED COMMENT 'Rows that this run read: sold or changed on the day.',
    ROWS_REJECTED COMMENT 'Rows of these that broke a rule.',
    REJECTED_SHARE COMMENT 'ROWS_REJECTED / ROWS_EXTRACTED, 0 to 1; NULL without rows.',
    LAST_CHANGED_AT COMMENT 'When a sale of the day last came, changed or went, by whatever batch (UTC); NULL: never.',
    LOCAL_DATE COMMENT 'Day by the clock of the region that ends within the UTC day; NULL for a region no longer configured.',
    IS_LOCAL_DATE_COMPLETE COMMENT 'The UTC day and the one before, which hold all of LOCAL_DATE, are complete.'
)
COPY GRANTS
COMMENT = 'How complete the sales of each UTC day and region are, days that nobody has loaded included'
AS
WITH STATES AS (
    -- TRY_: a conversion may be tried before other batches are left out.
    SELECT TRY_TO_DATE(BATCH_ID, 'YYYYMMDD') AS UTC_DATE, BATCH_ID, REGION, STATUS, IN_PRODUCTION, UNDER_WAY
    FROM (
        SELECT
    LATEST.BATCH_ID,
    LATEST.REGION,
    LATEST.STATUS,
    PRODUCTION.STATUS AS IN_PRODUCTION,
    LATEST.STATUS IN ('STARTED', 'RENEWED')
    AND COALESCE(LEASE.LEASE_UNTIL >= CURRENT_TIMESTAMP(), FALSE) AS UNDER_WAY
FROM ANALYTICS.ETL_BATCHES_LATEST AS LATEST
LEFT JOIN ANALYTICS.ETL_BATCHES_WHOLE_IN_PRODUCTION AS PRODUCTION
    ON PRODUCTION.BATCH_ID = LATEST.BATCH_ID AND PRODUCTION.REGION = LATEST.REGION
LEFT JOIN ANALYTICS.ETL_LEASES AS LEASE ON LEASE.RUN_NUMBER = LATEST.RUN_NUMBER
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
            SELECT
    COALESCE(MIN(CASE WHEN STATUS IN ('PUBLISHED', 'EMPTY') THEN BATCH_ID END), MIN(BATCH_ID)) AS FIRST_BATCH_ID,
    MAX(BATCH_ID) AS LAST_BATCH_ID
FROM ANALYTICS.ETL_BATCHES
WHERE BATCH_ID < 'A'
        ) AS LEDGER
    ) AS KNOWN ON COUNTED.N <= DATEDIFF('day', KNOWN.FIRST_DATE, KNOWN.LAST_DATE)
),
EXPECTED AS (
    SELECT DAYS.UTC_DATE, CONFIGURED.REGION
    FROM DAYS
    INNER JOIN (SELECT 'US_EAST' AS REGION, NULL::DATE AS FIRST_DATE UNION ALL SELECT 'US_WEST' AS REGION, NULL::DATE AS FIRST_DATE UNION ALL SELECT 'EUROPE' AS REGION, NULL::DATE AS FIRST_DATE UNION ALL SELECT 'ASIA_PACIFIC' AS REGION, NULL::DATE AS FIRST_DATE) AS CONFIGURED
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
        CASE REGION
        WHEN 'US_EAST' THEN DATEADD('day', -1, CONVERT_TIMEZONE('UTC', 'America/New_York', DATEADD('day', 1, UTC_DATE)::TIMESTAMP_NTZ)::DATE)::DATE
        WHEN 'US_WEST' THEN DATEADD('day', -1, CONVERT_TIMEZONE('UTC', 'America/Los_Angeles', DATEADD('day', 1, UTC_DATE)::TIMESTAMP_NTZ)::DATE)::DATE
        WHEN 'EUROPE' THEN DATEADD('day', -1, CONVERT_TIMEZONE('UTC', 'Europe/Berlin', DATEADD('day', 1, UTC_DATE)::TIMESTAMP_NTZ)::DATE)::DATE
        WHEN 'ASIA_PACIFIC' THEN DATEADD('day', -1, CONVERT_TIMEZONE('UTC', 'Asia/Singapore', DATEADD('day', 1, UTC_DATE)::TIMESTAMP_NTZ)::DATE)::DATE
    END AS LOCAL_DATE,
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
