SELECT
  currency::text COLLATE "C",
  count(*),
  sum("discount_amount") FILTER (WHERE NOT coalesce("discount_amount" = 'NaN', false)), count("discount_amount") FILTER (WHERE NOT coalesce("discount_amount" = 'NaN', false)),
  sum("tax_amount") FILTER (WHERE NOT coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false)), count("tax_amount") FILTER (WHERE NOT coalesce(abs("tax_amount"::numeric) >= 1e10 OR "tax_amount" <> round("tax_amount", 2), false)),
  sum("total_amount") FILTER (WHERE NOT coalesce("total_amount" = 'NaN', false)), count("total_amount") FILTER (WHERE NOT coalesce("total_amount" = 'NaN', false)),
  sum((extract(epoch FROM "sale_date") * 1000000)::bigint) FILTER (WHERE NOT coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false)), count("sale_date") FILTER (WHERE NOT coalesce("sale_date" < timestamptz '0001-01-01 00:00:00+00' OR "sale_date" >= timestamptz '9999-12-31 23:59:59.999999+00', false)),
  sum(char_length("store_id"::text)), count("store_id"),
  sum(char_length("customer_id"::text)), count("customer_id"),
  sum(char_length("product_id"::text)), count("product_id"),
  sum(char_length("product_category"::text)), count("product_category"),
  sum("quantity"), count("quantity"),
  sum("unit_price") FILTER (WHERE NOT coalesce("unit_price" = 'NaN', false)), count("unit_price") FILTER (WHERE NOT coalesce("unit_price" = 'NaN', false)),
  sum(char_length("payment_method"::text)), count("payment_method"),
  sum((extract(epoch FROM "updated_at") * 1000000)::bigint) FILTER (WHERE NOT coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false)), count("updated_at") FILTER (WHERE NOT coalesce("updated_at" < timestamptz '0001-01-01 00:00:00+00' OR "updated_at" >= timestamptz '9999-12-31 23:59:59.999999+00', false))
FROM "sales"."order"
WHERE (sale_date >= timestamptz '2024-01-15T00:00:00+00:00' AND sale_date < timestamptz '2024-01-16T00:00:00+00:00') OR (updated_at >= timestamptz '2024-01-15T00:00:00+00:00' AND updated_at < timestamptz '2024-01-16T00:00:00+00:00')
GROUP BY 1
