SELECT CASE WHEN currency::text COLLATE "C" ~ '^[A-Z]{3}$' THEN currency::text COLLATE "C" WHEN currency IS NOT NULL THEN '(malformed)' END, sum(figure_1), sum(figure_2), sum(figure_3), sum(figure_4), sum(figure_5), sum(figure_6), sum(figure_7), sum(figure_8), sum(figure_9), sum(figure_10), sum(figure_11), sum(figure_12), sum(figure_13), sum(figure_14), sum(figure_15), sum(figure_16), sum(figure_17), sum(figure_18), sum(figure_19), sum(figure_20), sum(figure_21), sum(figure_22), sum(figure_23), sum(figure_24), sum(figure_25)
FROM (
SELECT
  currency::text COLLATE "C" AS currency,
  count(*) AS figure_1,
  sum("discount_amount") FILTER (WHERE NOT coalesce("discount_amount" = 'NaN', false)) AS figure_2,
  count("discount_amount") FILTER (WHERE NOT coalesce("discount_amount" = 'NaN', false)) AS figure_3,
  sum("tax_amount") FILTER (WHERE NOT coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false)) AS figure_4,
  count("tax_amount") FILTER (WHERE NOT coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false)) AS figure_5,
  sum("total_amount") FILTER (WHERE NOT coalesce("total_amount" = 'NaN', false)) AS figure_6,
  count("total_amount") FILTER (WHERE NOT coalesce("total_amount" = 'NaN', false)) AS figure_7,
  sum((extract(epoch FROM "sale_date") * 1000000)::bigint) FILTER (WHERE NOT coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false)) AS figure_8,
  count("sale_date") FILTER (WHERE NOT coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false)) AS figure_9,
  sum(char_length("store_id"::text)) AS figure_10,
  count("store_id") AS figure_11,
  sum(char_length("customer_id"::text)) AS figure_12,
  count("customer_id") AS figure_13,
  sum(char_length("product_id"::text)) AS figure_14,
  count("product_id") AS figure_15,
  sum(char_length("product_category"::text)) AS figure_16,
  count("product_category") AS figure_17,
  sum("quantity") AS figure_18,
  count("quantity") AS figure_19,
  sum("unit_price") FILTER (WHERE NOT coalesce("unit_price" = 'NaN', false)) AS figure_20,
  count("unit_price") FILTER (WHERE NOT coalesce("unit_price" = 'NaN', false)) AS figure_21,
  sum(char_length("payment_method"::text)) AS figure_22,
  count("payment_method") AS figure_23,
  sum((extract(epoch FROM "updated_at") * 1000000)::bigint) FILTER (WHERE NOT coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false)) AS figure_24,
  count("updated_at") FILTER (WHERE NOT coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false)) AS figure_25
FROM "sales"."order"
WHERE (sale_date >= timestamptz '2024-01-15T00:00:00+00:00' AND sale_date < timestamptz '2024-01-16T00:00:00+00:00') OR (updated_at >= timestamptz '2024-01-15T00:00:00+00:00' AND updated_at < timestamptz '2024-01-16T00:00:00+00:00')
GROUP BY 1
) AS counted
GROUP BY 1
