"""The steps of a daily run, in this order, and the words that all steps use.

    ready begin extract plan transform quality stage load publish law verify anomalies report
    batch tally errors lines retries stopwatch

A file here is one of these; a folder is one system (`source`, `files`, `warehouse`, `prefect_server`, `pages`,
`progress`) or what one other flow does. Steps and flows use systems, systems use words, and nothing goes in a circle.
"""
