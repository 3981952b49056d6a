-- Guarantees: the fact table and its companions exist. Columns of the contract are generated; keys are not declared,
-- because Snowflake does not enforce them: publish checks uniqueness before COMMIT.
CREATE TABLE IF NOT EXISTS ANALYTICS.SALES_FACT (
    ${clean_column_definitions},
    ETL_BATCH_ID VARCHAR NOT NULL COMMENT 'Batch that wrote this version of the sale: 20240115, R... or H...; A... for what another tool had loaded',
    ETL_RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run that wrote this version',
    ETL_FIRST_RUN_NUMBER NUMBER(18,0) COMMENT 'Run that first inserted the sale; NULL: an earlier version of these tables, or another tool',
    ETL_SNAPSHOT_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the source was read (UTC)',
    ETL_INSERTED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the sale first came into this table (UTC)',
    ETL_UPDATED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When this version came into this table (UTC)',
    IS_DELETED BOOLEAN DEFAULT FALSE COMMENT 'The source does not hold the sale any more, as reconcile found',
    DELETED_AT TIMESTAMP_TZ(6) COMMENT 'When reconcile marked it so (UTC)',
    ETL_PUBLISH_NUMBER NUMBER(18,0) COMMENT 'Transaction since which this version stands here, by ETL_BATCHES.ORDINAL; NULL: one before ETL_LOCK.PAST_SINCE'
)
COMMENT = 'One row per sale of all regions: the newest valid version';

-- Columns that a warehouse set up by an earlier version lacks.
ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN IF NOT EXISTS IS_DELETED BOOLEAN;
ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN IF NOT EXISTS DELETED_AT TIMESTAMP_TZ(6);
ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN IF NOT EXISTS ETL_FIRST_RUN_NUMBER NUMBER(18,0);
ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN IF NOT EXISTS ETL_PUBLISH_NUMBER NUMBER(18,0);

CREATE TABLE IF NOT EXISTS ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run that took the version away: by a newer one, or by a rollback',
    UNDO_BATCH_ID VARCHAR NOT NULL COMMENT 'Batch of that run, or the one that was rolled back',
    UNDO_RECORDED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When that went on (UTC)',
    ${undo_column_definitions},
    ETL_BATCH_ID VARCHAR COMMENT 'Batch that had written the version before',
    ETL_RUN_NUMBER NUMBER(18,0) COMMENT 'Run that had written the version before',
    ETL_FIRST_RUN_NUMBER NUMBER(18,0) COMMENT 'Run that first inserted the sale',
    ETL_SNAPSHOT_AT TIMESTAMP_TZ(6) COMMENT 'When the source of the version before was read (UTC)',
    ETL_INSERTED_AT TIMESTAMP_TZ(6) COMMENT 'When the sale first came into SALES_FACT (UTC)',
    ETL_UPDATED_AT TIMESTAMP_TZ(6) COMMENT 'When the version before came into SALES_FACT (UTC)',
    IS_DELETED BOOLEAN COMMENT 'Whether the version before was marked as deleted',
    DELETED_AT TIMESTAMP_TZ(6) COMMENT 'When it was marked so (UTC)',
    ETL_PUBLISH_NUMBER NUMBER(18,0) COMMENT 'Transaction since which the version had stood in SALES_FACT',
    UNDO_PUBLISH_NUMBER NUMBER(18,0) COMMENT 'Transaction that took it away, by ETL_BATCHES.ORDINAL; NULL: one before ETL_LOCK.PAST_SINCE'
)
COMMENT = 'The past of SALES_FACT: each version that stands there no more, and from when to when it did. Runs only insert';

-- Columns that a warehouse set up by an earlier version lacks.
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN IF NOT EXISTS IS_DELETED BOOLEAN;
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN IF NOT EXISTS DELETED_AT TIMESTAMP_TZ(6);
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN IF NOT EXISTS ETL_FIRST_RUN_NUMBER NUMBER(18,0);
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN IF NOT EXISTS ETL_PUBLISH_NUMBER NUMBER(18,0);
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN IF NOT EXISTS UNDO_PUBLISH_NUMBER NUMBER(18,0);

CREATE TABLE IF NOT EXISTS ANALYTICS.SALES_HELD_BACK (
    BATCH_ID VARCHAR NOT NULL COMMENT 'Heal that was rolled back',
    RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run of that heal',
    REGION VARCHAR NOT NULL COMMENT 'Region of the sale',
    SALE_ID VARCHAR NOT NULL COMMENT 'Business key of the sale',
    SALE_DATE TIMESTAMP_TZ(6) COMMENT 'When the version that the heal had replaced was sold (UTC); NULL: none',
    UPDATED_AT TIMESTAMP_TZ(6) COMMENT 'When that version was changed (UTC); NULL: none',
    HELD_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the heal was rolled back (UTC)'
)
COMMENT = 'Sales that heals had changed or rejected before somebody rolled them back: neither a heal nor a replay may bring them back';

CREATE TABLE IF NOT EXISTS ANALYTICS.SALES_REJECTIONS (
    ${rejected_column_definitions},
    ETL_BATCH_ID VARCHAR NOT NULL COMMENT 'Batch that rejected the row',
    ETL_RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run that rejected the row',
    ETL_SNAPSHOT_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the source was read (UTC)',
    FIRST_SEEN_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the key was first rejected (UTC)'
)
COMMENT = 'Rows that broke a rule, as runs met them, with all their reasons and the text of the source; personal data as tokens. Only inserted; SALES_REJECTED says what has become of them';

CREATE TABLE IF NOT EXISTS ANALYTICS.SALES_REJECTION_CLOSINGS (
    REJECTED_BY_RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run that rejected the row',
    REGION_CODE VARCHAR NOT NULL COMMENT 'Region of the row',
    SALE_KEY VARCHAR NOT NULL COMMENT 'Business key of the row',
    VERSION_AT TIMESTAMP_TZ(6) COMMENT 'Version of the row (UTC)',
    STATUS VARCHAR NOT NULL COMMENT 'CLOSED: a newer version stands; RELEASED: a replay found it good; GONE: a replay found it nowhere',
    CLOSED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When (UTC)',
    CLOSED_BY_RUN_NUMBER NUMBER(18,0) COMMENT 'Run that says so; NULL: a rollback, or not known',
    COVERED_BY_RUN_NUMBER NUMBER(18,0) COMMENT 'Run that wrote the version in SALES_FACT that stands for the row; NULL: none'
)
COMMENT = 'Why rejected rows are work no more. Only inserted; counts while both its runs are in effect';

CREATE TABLE IF NOT EXISTS ANALYTICS.ETL_BATCHES (
    BATCH_ID VARCHAR NOT NULL COMMENT '20240115, or R.../H... for batches of named keys, A... for an adopted table',
    REGION VARCHAR NOT NULL COMMENT 'Region code',
    RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Number of the attempt, from one counter',
    FLOW_RUN_ID VARCHAR NOT NULL COMMENT 'Prefect flow run of the attempt',
    STATUS VARCHAR NOT NULL COMMENT 'STARTED, PUBLISHED, MISSING, EMPTY, FAILED, OVERTAKEN, ROLLED_BACK',
    RECORDED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When this row was written (UTC)',
    LEASE_UNTIL TIMESTAMP_TZ(6) COMMENT 'STARTED: until when the attempt counts as alive, unless it renews that (UTC)',
    EXTRACTED NUMBER(18,0) COMMENT 'Rows read from the source',
    REJECTED NUMBER(18,0) COMMENT 'Rows that broke a rule, cross-region keys included',
    DUPLICATES NUMBER(18,0) COMMENT 'Older versions of a key in the same batch',
    INSERTED NUMBER(18,0) COMMENT 'New sales',
    UPDATED NUMBER(18,0) COMMENT 'Sales that got a newer version',
    UNCHANGED NUMBER(18,0) COMMENT 'Sales that stood in the table just so',
    SUPERSEDED NUMBER(18,0) COMMENT 'Versions older than the one in the table',
    MONEY VARCHAR COMMENT 'Exact totals of the extracted rows per currency and column, control totals included, as JSON text',
    SECONDS VARCHAR COMMENT 'Seconds per step, as JSON text',
    CAUSE VARCHAR COMMENT 'Why, for MISSING, FAILED, OVERTAKEN and ROLLED_BACK',
    CONTRACT_VERSION VARCHAR NOT NULL COMMENT 'Version of the column contract',
    SNAPSHOT_AT TIMESTAMP_TZ(6) COMMENT 'PUBLISHED, EMPTY: up to when the source showed everything (UTC)',
    ORDINAL NUMBER(18,0) COMMENT 'Of all but STARTED: number of the transaction that wrote the row, in the order in which these held the publish lock; NULL in rows of earlier versions'
)
COMMENT = 'Ledger: what happened to each batch and region; rows are only ever inserted';

-- Columns that a warehouse set up by an earlier version lacks.
ALTER TABLE ANALYTICS.ETL_BATCHES ADD COLUMN IF NOT EXISTS SNAPSHOT_AT TIMESTAMP_TZ(6);
ALTER TABLE ANALYTICS.ETL_BATCHES ADD COLUMN IF NOT EXISTS ORDINAL NUMBER(18,0);

-- Times do not order two rows of a run: its end counts as the later one. RENEWED occurs in rows of earlier versions,
-- which renewed leases here.
CREATE OR REPLACE VIEW ANALYTICS.ETL_BATCHES_LATEST COPY GRANTS AS
SELECT *
FROM ANALYTICS.ETL_BATCHES
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY BATCH_ID, REGION
    ORDER BY
        RUN_NUMBER DESC,
        CASE WHEN STATUS IN ('STARTED', 'RENEWED') THEN 1 ELSE 0 END,
        ORDINAL DESC NULLS LAST,
        RECORDED_AT DESC
) = 1;

-- The end of each run at a batch and region. A published run may still fail at the second look, after COMMIT.
CREATE OR REPLACE VIEW ANALYTICS.ETL_RUNS_ENDED COPY GRANTS AS
SELECT *
FROM ANALYTICS.ETL_BATCHES
WHERE STATUS NOT IN ('STARTED', 'RENEWED')
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY BATCH_ID, REGION, RUN_NUMBER ORDER BY ORDINAL DESC NULLS LAST, RECORDED_AT DESC
) = 1;

-- The state of each batch and region in production. A run that failed, or left the region out, changed nothing.
CREATE OR REPLACE VIEW ANALYTICS.ETL_BATCHES_IN_PRODUCTION COPY GRANTS AS
SELECT *
FROM ANALYTICS.ETL_RUNS_ENDED
WHERE STATUS IN ('PUBLISHED', 'EMPTY', 'ROLLED_BACK')
QUALIFY ROW_NUMBER() OVER (PARTITION BY BATCH_ID, REGION ORDER BY RUN_NUMBER DESC) = 1;

-- The same without dates that were loaded before their source showed the whole day: part of them is missing. Entries
-- without SNAPSHOT_AT are judged by when their run began.
CREATE OR REPLACE VIEW ANALYTICS.ETL_BATCHES_WHOLE_IN_PRODUCTION COPY GRANTS AS
SELECT SHOWN.*
FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION AS SHOWN
INNER JOIN (
    SELECT RUN_NUMBER, MIN(RECORDED_AT) AS BEGAN_AT
    FROM ANALYTICS.ETL_BATCHES
    GROUP BY RUN_NUMBER
) AS RUNS ON RUNS.RUN_NUMBER = SHOWN.RUN_NUMBER
WHERE
    SHOWN.STATUS = 'ROLLED_BACK'
    OR TO_VARCHAR(COALESCE(SHOWN.SNAPSHOT_AT, RUNS.BEGAN_AT), 'YYYYMMDD') > SHOWN.BATCH_ID;

-- The publishes in effect: neither failed at the second look nor followed by a rollback of their batch.
CREATE OR REPLACE VIEW ANALYTICS.ETL_RUNS_IN_EFFECT COPY GRANTS AS
SELECT *
FROM ANALYTICS.ETL_RUNS_ENDED
WHERE STATUS IN ('PUBLISHED', 'ROLLED_BACK')
QUALIFY STATUS = 'PUBLISHED' AND RUN_NUMBER > MAX(
    CASE WHEN STATUS = 'ROLLED_BACK' THEN RUN_NUMBER ELSE 0 END
) OVER (PARTITION BY BATCH_ID, REGION);

-- The publishes that are no longer in effect.
CREATE OR REPLACE VIEW ANALYTICS.ETL_RUNS_PUT_BACK COPY GRANTS AS
SELECT REGION, RUN_NUMBER
FROM ANALYTICS.ETL_BATCHES
WHERE STATUS = 'PUBLISHED'
EXCEPT
SELECT REGION, RUN_NUMBER
FROM ANALYTICS.ETL_RUNS_IN_EFFECT;

-- What was rolled back and stays out: dates (SALE_ID is NULL), and keys that a heal had changed or rejected, until a
-- run writes them, or a run of a date rejects them again. A sale that was marked as deleted is free once a later run
-- has published its date, which finds nothing of it to write. The order of the publishes decides who wrote last, run
-- numbers only where a rollback by an earlier version has no ORDINAL.
CREATE OR REPLACE VIEW ANALYTICS.SALES_ROLLED_BACK COPY GRANTS AS
SELECT REGION, BATCH_ID, NULL::VARCHAR AS SALE_ID
FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION
WHERE STATUS = 'ROLLED_BACK' AND REGEXP_LIKE(BATCH_ID, '[0-9]{8}')
UNION ALL
SELECT DISTINCT HELD.REGION, HELD.BATCH_ID, HELD.SALE_ID
FROM ANALYTICS.SALES_HELD_BACK AS HELD
INNER JOIN (
    SELECT BATCH_ID, REGION, MAX(RUN_NUMBER) AS LAST_RUN, MAX(ORDINAL) AS LAST_ORDINAL
    FROM ANALYTICS.ETL_BATCHES
    WHERE STATUS = 'ROLLED_BACK'
    GROUP BY BATCH_ID, REGION
) AS ROLLED ON ROLLED.BATCH_ID = HELD.BATCH_ID AND ROLLED.REGION = HELD.REGION
LEFT JOIN ANALYTICS.SALES_FACT AS FACT
    ON FACT.SALE_ID = HELD.SALE_ID
    AND FACT.REGION = HELD.REGION
LEFT JOIN ANALYTICS.ETL_BATCHES AS WRITING
    ON WRITING.RUN_NUMBER = FACT.ETL_RUN_NUMBER
    AND WRITING.REGION = FACT.REGION
    AND WRITING.STATUS = 'PUBLISHED'
LEFT JOIN ANALYTICS.ETL_BATCHES AS NAMED
    ON NAMED.REGION = HELD.REGION
    AND NAMED.STATUS = 'PUBLISHED'
    AND NAMED.RUN_NUMBER > ROLLED.LAST_RUN
    AND NAMED.BATCH_ID IN (TO_VARCHAR(HELD.SALE_DATE, 'YYYYMMDD'), TO_VARCHAR(HELD.UPDATED_AT, 'YYYYMMDD'))
LEFT JOIN ANALYTICS.SALES_REJECTIONS AS AGAIN
    ON AGAIN.REGION_CODE = HELD.REGION
    AND AGAIN.SALE_KEY = HELD.SALE_ID
    AND AGAIN.ETL_RUN_NUMBER > ROLLED.LAST_RUN
    AND REGEXP_LIKE(AGAIN.ETL_BATCH_ID, '[0-9]{8}')
WHERE NAMED.RUN_NUMBER IS NULL
    AND AGAIN.ETL_RUN_NUMBER IS NULL
    AND NOT COALESCE(
        COALESCE(WRITING.ORDINAL, 0) > ROLLED.LAST_ORDINAL, FACT.ETL_RUN_NUMBER > HELD.RUN_NUMBER, FALSE
    );

CREATE TABLE IF NOT EXISTS ANALYTICS.ETL_LOCK (
    NAME VARCHAR NOT NULL COMMENT 'Always publish',
    RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Run that held the lock last',
    LOCKED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When it took the lock (UTC)',
    ORDINAL NUMBER(18,0) COMMENT 'How many transactions have held the lock and were committed',
    TOKEN VARCHAR COMMENT 'Of the run that is about to take the lock',
    TOKEN_AT TIMESTAMP_TZ(6) COMMENT 'When it wrote the token (UTC)',
    TABLES_VERSION NUMBER(9,0) COMMENT 'Version of all these tables; code of another one refuses to write',
    PAST_SINCE NUMBER(18,0) COMMENT 'Since this ORDINAL SALES_FACT_UNDO holds the whole past of SALES_FACT'
)
COMMENT = 'One row; its UPDATE is the first statement of every transaction that writes rows, and makes others wait until COMMIT';

-- Columns that a warehouse set up by an earlier version lacks.
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS ORDINAL NUMBER(18,0);
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS TOKEN VARCHAR;
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS TOKEN_AT TIMESTAMP_TZ(6);
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS TABLES_VERSION NUMBER(9,0);
ALTER TABLE ANALYTICS.ETL_LOCK ADD COLUMN IF NOT EXISTS PAST_SINCE NUMBER(18,0);
UPDATE ANALYTICS.ETL_LOCK SET ORDINAL = 0 WHERE ORDINAL IS NULL;

MERGE INTO ANALYTICS.ETL_LOCK AS HELD
USING (SELECT 'publish' AS NAME) AS WANTED ON HELD.NAME = WANTED.NAME
WHEN NOT MATCHED THEN INSERT (NAME, RUN_NUMBER, LOCKED_AT, ORDINAL) VALUES ('publish', 0, CURRENT_TIMESTAMP(), 0);

-- Numbers the attempts; ORDER gives a later one a higher number.
CREATE SEQUENCE IF NOT EXISTS ANALYTICS.ETL_RUN_NUMBER START = 1 INCREMENT = 1 ORDER;

-- The fact table right after a publish, by its number in ETL_BATCHES.ORDINAL. It reads with its owner's rights, the
-- undo log too, which no policy of SALES_FACT covers: the administrator decides who may use it.
CREATE OR REPLACE FUNCTION ANALYTICS.SALES_AS_OF(PUBLISH NUMBER)
COPY GRANTS
RETURNS TABLE (
    ${version_column_types}
)
AS
$$$$
${sales_as_of}
$$$$;
