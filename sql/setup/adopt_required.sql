-- Guarantees: no row of an adopted table is ever without what each sale has.
${required_columns}
