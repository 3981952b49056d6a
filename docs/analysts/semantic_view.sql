-- Generated from `expectations/` by `make docs`; contract version 1.
-- A semantic view cannot require a dimension, and NON ADDITIVE BY takes the last value of a dimension in place of a
-- sum: so amounts are NULL where the rows have more than one currency. No metric adds up quantities, whose units differ.
CREATE OR REPLACE SEMANTIC VIEW ANALYTICS.SALES_SEMANTICS
    TABLES (
        SALES AS ANALYTICS.SALES PRIMARY KEY (SALE_ID) COMMENT = 'Published sales of all regions, without those that their source no longer holds. Add amounts per CURRENCY only',
        DATA_STATUS AS ANALYTICS.DATA_STATUS PRIMARY KEY (UTC_DATE, REGION) COMMENT = 'How complete the sales of each UTC day and region are, days that nobody has loaded included'
    )
    RELATIONSHIPS (
        SALES_TO_STATUS AS SALES (UTC_DATE, REGION) REFERENCES DATA_STATUS
    )
    FACTS (
        SALES.QUANTITY AS QUANTITY COMMENT = 'Units sold; millilitres for fuel.',
        SALES.UNIT_PRICE AS UNIT_PRICE COMMENT = 'Gross price of one unit in `currency`; may be below a cent.',
        SALES.DISCOUNT_AMOUNT AS DISCOUNT_AMOUNT COMMENT = 'Discount in `currency`.',
        SALES.TAX_AMOUNT AS TAX_AMOUNT COMMENT = 'Tax contained in the total, in `currency`.',
        SALES.TOTAL_AMOUNT AS TOTAL_AMOUNT COMMENT = 'Gross amount in `currency`: before discount, tax included.',
        SALES.NET_AMOUNT AS NET_AMOUNT COMMENT = 'total_amount - discount_amount.',
        SALES.GROSS_PROFIT AS GROSS_PROFIT COMMENT = 'net_amount - tax_amount.',
        DATA_STATUS.ROWS_EXTRACTED AS ROWS_EXTRACTED COMMENT = 'Rows that this run read: sold or changed on the day.',
        DATA_STATUS.ROWS_REJECTED AS ROWS_REJECTED COMMENT = 'Rows of these that broke a rule.',
        DATA_STATUS.REJECTED_SHARE AS REJECTED_SHARE COMMENT = 'ROWS_REJECTED / ROWS_EXTRACTED, 0 to 1; NULL without rows.'
    )
    DIMENSIONS (
        SALES.SALE_ID AS SALE_ID COMMENT = 'Business key of the sale, unique across all regions.',
        SALES.SALE_DATE AS SALE_DATE COMMENT = 'When the sale happened (UTC).',
        SALES.STORE_ID AS STORE_ID COMMENT = 'Store that sold.',
        SALES.CUSTOMER_ID AS CUSTOMER_ID COMMENT = 'Customer who bought.',
        SALES.CUSTOMER_EMAIL_TOKEN AS CUSTOMER_EMAIL_TOKEN COMMENT = 'Keyed token of the customer''s e-mail address: equal for equal addresses.',
        SALES.PRODUCT_ID AS PRODUCT_ID COMMENT = 'Product sold.',
        SALES.PRODUCT_CATEGORY AS PRODUCT_CATEGORY COMMENT = 'Category of the product.',
        SALES.CURRENCY AS CURRENCY COMMENT = 'ISO 4217 code of the amounts.',
        SALES.PAYMENT_METHOD AS PAYMENT_METHOD COMMENT = 'How the customer paid.',
        SALES.REGION AS REGION COMMENT = 'Code of the region that sold.',
        SALES.UPDATED_AT AS UPDATED_AT COMMENT = 'When the row last changed at the source (UTC).',
        SALES.EXTRA_ATTRIBUTES AS EXTRA_ATTRIBUTES COMMENT = 'Source columns beyond the contract that the variable `extra_columns` names, as JSON text.',
        SALES.SALE_YEAR AS SALE_YEAR COMMENT = 'Year of sale_date (UTC).',
        SALES.SALE_MONTH AS SALE_MONTH COMMENT = 'Month of sale_date (UTC), 1 to 12.',
        SALES.SALE_DAY AS SALE_DAY COMMENT = 'Day of the month of sale_date (UTC), 1 to 31.',
        SALES.SALE_DATE_LOCAL AS SALE_DATE_LOCAL COMMENT = 'SALE_DATE by the clock of the region; NULL for a region no longer configured.',
        SALES.UTC_DATE AS UTC_DATE COMMENT = 'UTC day of SALE_DATE; with REGION it leads to DATA_STATUS.',
        SALES.ETL_BATCH_ID AS ETL_BATCH_ID COMMENT = 'Batch that wrote this version of the sale.',
        SALES.ETL_INSERTED_AT AS ETL_INSERTED_AT COMMENT = 'When the sale was first published (UTC).',
        SALES.ETL_UPDATED_AT AS ETL_UPDATED_AT COMMENT = 'When this version was published (UTC).',
        DATA_STATUS.UTC_DATE AS UTC_DATE COMMENT = 'UTC day: from the first one ever loaded to yesterday, or the last one in the ledger; before, those tried.',
        DATA_STATUS.REGION AS REGION COMMENT = 'Code of the region.',
        DATA_STATUS.IS_COMPLETE AS IS_COMPLETE COMMENT = 'All that the source held of the day is published, or the day is closed.',
        DATA_STATUS.STATE AS STATE COMMENT = 'What the ledger says of the day: published, empty, rolled back, running, missing, left out, died, failed, not over.',
        DATA_STATUS.RERUN AS RERUN COMMENT = 'How a newer run over a day in production fares: running, failed; NULL: there is none, or it ended well.',
        DATA_STATUS.AS_OF AS AS_OF COMMENT = 'Up to when the source showed everything to the run that is in production (UTC); NULL: none is.',
        DATA_STATUS.LAST_CHANGED_AT AS LAST_CHANGED_AT COMMENT = 'When a sale of the day last came, changed or went, by whatever batch (UTC); NULL: never.',
        DATA_STATUS.LOCAL_DATE AS LOCAL_DATE COMMENT = 'Day by the clock of the region that ends within the UTC day; NULL for a region no longer configured.',
        DATA_STATUS.IS_LOCAL_DATE_COMPLETE AS IS_LOCAL_DATE_COMPLETE COMMENT = 'The UTC day and the one before, which hold all of LOCAL_DATE, are complete.'
    )
    METRICS (
        SALES.SALES_COUNT AS COUNT(SALES.SALE_ID) COMMENT = 'Number of sales.',
        SALES.SUM_OF_DISCOUNT_AMOUNT AS CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.DISCOUNT_AMOUNT) END COMMENT = 'Sum of DISCOUNT_AMOUNT in one currency; NULL for more: query it by CURRENCY.',
        SALES.SUM_OF_TAX_AMOUNT AS CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.TAX_AMOUNT) END COMMENT = 'Sum of TAX_AMOUNT in one currency; NULL for more: query it by CURRENCY.',
        SALES.SUM_OF_TOTAL_AMOUNT AS CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.TOTAL_AMOUNT) END COMMENT = 'Sum of TOTAL_AMOUNT in one currency; NULL for more: query it by CURRENCY.',
        SALES.SUM_OF_NET_AMOUNT AS CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.NET_AMOUNT) END COMMENT = 'Sum of NET_AMOUNT in one currency; NULL for more: query it by CURRENCY.',
        SALES.SUM_OF_GROSS_PROFIT AS CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.GROSS_PROFIT) END COMMENT = 'Sum of GROSS_PROFIT in one currency; NULL for more: query it by CURRENCY.',
        DATA_STATUS.DAYS AS COUNT(DATA_STATUS.REGION) COMMENT = 'Number of UTC days, each counted per region.',
        DATA_STATUS.INCOMPLETE_DAYS AS COUNT_IF(NOT DATA_STATUS.IS_COMPLETE) COMMENT = 'Number of UTC days that are not complete, each counted per region: 0 where the figures can be trusted.'
    )
    COMMENT = 'Sales of all regions and how complete they are. Amounts are added per currency only'
    COPY GRANTS;
