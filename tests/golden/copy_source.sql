COPY (
SELECT
  "sale_id"::text AS "sale_id",
  CASE WHEN coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false) THEN NULL ELSE "sale_date" END AS "sale_date",
  "store_id"::text AS "store_id",
  "customer_id"::text AS "customer_id",
  "customer_email"::text AS "customer_email",
  "product_id"::text AS "product_id",
  "product_category"::text AS "product_category",
  "quantity"::numeric(18, 0) AS "quantity",
  CASE WHEN coalesce("unit_price" = 'NaN', false) THEN NULL ELSE "unit_price"::numeric(18, 6) END AS "unit_price",
  CASE WHEN coalesce("discount_amount" = 'NaN', false) THEN NULL ELSE "discount_amount"::numeric(12, 2) END AS "discount_amount",
  CASE WHEN coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false) THEN NULL ELSE "tax_amount"::numeric(12, 2) END AS "tax_amount",
  CASE WHEN coalesce("total_amount" = 'NaN', false) THEN NULL ELSE "total_amount"::numeric(12, 2) END AS "total_amount",
  "currency"::text AS "currency",
  "payment_method"::text AS "payment_method",
  "region"::text AS "region",
  CASE WHEN coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false) THEN NULL ELSE "updated_at" END AS "updated_at",
  "loyalty tier"::text AS "extra.loyalty tier",
  "a""b"::text AS "extra.a""b",
  CASE WHEN coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false) OR coalesce("unit_price" = 'NaN', false) OR coalesce("discount_amount" = 'NaN', false) OR coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false) OR coalesce("total_amount" = 'NaN', false) OR coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false) THEN json_strip_nulls(json_build_object('sale_date', CASE WHEN coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false) THEN "sale_date"::text END, 'unit_price', CASE WHEN coalesce("unit_price" = 'NaN', false) THEN "unit_price"::text END, 'discount_amount', CASE WHEN coalesce("discount_amount" = 'NaN', false) THEN "discount_amount"::text END, 'tax_amount', CASE WHEN coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false) THEN "tax_amount"::text END, 'total_amount', CASE WHEN coalesce("total_amount" = 'NaN', false) THEN "total_amount"::text END, 'updated_at', CASE WHEN coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false) THEN "updated_at"::text END))::text END AS unreadable
FROM "sales"."order"
WHERE (sale_date >= timestamptz '2024-01-15T00:00:00+00:00' AND sale_date < timestamptz '2024-01-16T00:00:00+00:00') OR (updated_at >= timestamptz '2024-01-15T00:00:00+00:00' AND updated_at < timestamptz '2024-01-16T00:00:00+00:00')
) TO STDOUT (FORMAT csv)
