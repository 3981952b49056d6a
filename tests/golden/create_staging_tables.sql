-- Guarantees: four empty tables of this attempt alone, of which nothing is kept when they are dropped. DDL, so it runs
-- before the publish transaction.
CREATE TRANSIENT TABLE STAGING.CLEAN_000042 (
    SALE_ID VARCHAR NOT NULL COMMENT 'Business key of the sale, unique across all regions.',
    SALE_DATE TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the sale happened (UTC).',
    STORE_ID VARCHAR NOT NULL COMMENT 'Store that sold.',
    CUSTOMER_ID VARCHAR NOT NULL COMMENT 'Customer who bought.',
    CUSTOMER_EMAIL_TOKEN VARCHAR COMMENT 'Customer''s e-mail address.',
    PRODUCT_ID VARCHAR NOT NULL COMMENT 'Product sold.',
    PRODUCT_CATEGORY VARCHAR COMMENT 'Category of the product.',
    QUANTITY NUMBER(18,0) NOT NULL COMMENT 'Units sold; millilitres for fuel.',
    UNIT_PRICE NUMBER(18,6) NOT NULL COMMENT 'Gross price of one unit in `currency`; may be below a cent.',
    DISCOUNT_AMOUNT NUMBER(12,2) NOT NULL COMMENT 'Discount in `currency`.',
    TAX_AMOUNT NUMBER(12,2) NOT NULL COMMENT 'Tax contained in the total, in `currency`.',
    TOTAL_AMOUNT NUMBER(12,2) NOT NULL COMMENT 'Gross amount in `currency`: before discount, tax included.',
    CURRENCY VARCHAR NOT NULL COMMENT 'ISO 4217 code of the amounts.',
    PAYMENT_METHOD VARCHAR NOT NULL COMMENT 'How the customer paid.',
    REGION VARCHAR NOT NULL COMMENT 'Region as the source spells it; its code in the fact table.',
    UPDATED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When the row last changed at the source (UTC).',
    EXTRA_ATTRIBUTES VARCHAR COMMENT 'Source columns beyond the contract that the variable `extra_columns` names, as JSON text.',
    NET_AMOUNT NUMBER(12,2) NOT NULL COMMENT 'total_amount - discount_amount.',
    GROSS_PROFIT NUMBER(12,2) NOT NULL COMMENT 'net_amount - tax_amount.',
    SALE_YEAR NUMBER(4,0) NOT NULL COMMENT 'Year of sale_date (UTC).',
    SALE_MONTH NUMBER(4,0) NOT NULL COMMENT 'Month of sale_date (UTC), 1 to 12.',
    SALE_DAY NUMBER(4,0) NOT NULL COMMENT 'Day of the month of sale_date (UTC), 1 to 31.',
    SOURCE_REGION VARCHAR NOT NULL
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE STAGING.REJECTED_000042 (
    REGION_CODE VARCHAR NOT NULL COMMENT 'Region whose database held the row',
    SALE_KEY VARCHAR COMMENT 'Business key as the fact table would have it',
    RULES VARCHAR NOT NULL COMMENT 'Ids of all rules that the row broke, blank-separated',
    VERSION_AT TIMESTAMP_TZ(6) COMMENT 'updated_at, NULL when missing or unreadable (UTC)',
    SALE_ID VARCHAR,
    SALE_DATE VARCHAR,
    STORE_ID VARCHAR,
    CUSTOMER_ID VARCHAR,
    CUSTOMER_EMAIL_TOKEN VARCHAR,
    PRODUCT_ID VARCHAR,
    PRODUCT_CATEGORY VARCHAR,
    QUANTITY VARCHAR,
    UNIT_PRICE VARCHAR,
    DISCOUNT_AMOUNT VARCHAR,
    TAX_AMOUNT VARCHAR,
    TOTAL_AMOUNT VARCHAR,
    CURRENCY VARCHAR,
    PAYMENT_METHOD VARCHAR,
    REGION VARCHAR,
    UPDATED_AT VARCHAR,
    EXTRA_ATTRIBUTES VARCHAR
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE STAGING.STANDING_000042 (
    SALE_ID VARCHAR NOT NULL COMMENT 'Business key of the sale, unique across all regions.',
    SALE_DATE TIMESTAMP_TZ(6) COMMENT 'When the sale happened (UTC).',
    STORE_ID VARCHAR COMMENT 'Store that sold.',
    CUSTOMER_ID VARCHAR COMMENT 'Customer who bought.',
    CUSTOMER_EMAIL_TOKEN VARCHAR COMMENT 'Customer''s e-mail address.',
    PRODUCT_ID VARCHAR COMMENT 'Product sold.',
    PRODUCT_CATEGORY VARCHAR COMMENT 'Category of the product.',
    QUANTITY NUMBER(18,0) COMMENT 'Units sold; millilitres for fuel.',
    UNIT_PRICE NUMBER(18,6) COMMENT 'Gross price of one unit in `currency`; may be below a cent.',
    DISCOUNT_AMOUNT NUMBER(12,2) COMMENT 'Discount in `currency`.',
    TAX_AMOUNT NUMBER(12,2) COMMENT 'Tax contained in the total, in `currency`.',
    TOTAL_AMOUNT NUMBER(12,2) COMMENT 'Gross amount in `currency`: before discount, tax included.',
    CURRENCY VARCHAR COMMENT 'ISO 4217 code of the amounts.',
    PAYMENT_METHOD VARCHAR COMMENT 'How the customer paid.',
    REGION VARCHAR NOT NULL COMMENT 'Region as the source spells it; its code in the fact table.',
    UPDATED_AT TIMESTAMP_TZ(6) COMMENT 'When the row last changed at the source (UTC).',
    EXTRA_ATTRIBUTES VARCHAR COMMENT 'Source columns beyond the contract that the variable `extra_columns` names, as JSON text.',
    NET_AMOUNT NUMBER(12,2) COMMENT 'total_amount - discount_amount.',
    GROSS_PROFIT NUMBER(12,2) COMMENT 'net_amount - tax_amount.',
    SALE_YEAR NUMBER(4,0) COMMENT 'Year of sale_date (UTC).',
    SALE_MONTH NUMBER(4,0) COMMENT 'Month of sale_date (UTC), 1 to 12.',
    SALE_DAY NUMBER(4,0) COMMENT 'Day of the month of sale_date (UTC), 1 to 31.',
    ETL_BATCH_ID VARCHAR,
    ETL_RUN_NUMBER NUMBER(18,0),
    ETL_FIRST_RUN_NUMBER NUMBER(18,0),
    ETL_SNAPSHOT_AT TIMESTAMP_TZ(6),
    ETL_INSERTED_AT TIMESTAMP_TZ(6),
    ETL_UPDATED_AT TIMESTAMP_TZ(6),
    IS_DELETED BOOLEAN,
    DELETED_AT TIMESTAMP_TZ(6),
    ETL_PUBLISH_NUMBER NUMBER(18,0)
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE STAGING.FATES_000042 (
    REGION VARCHAR NOT NULL,
    SALE_ID VARCHAR NOT NULL,
    FATE VARCHAR NOT NULL
)
DATA_RETENTION_TIME_IN_DAYS = 0;
