"""The queue of rejected rows counts each row once in all, and once for each rule that it broke."""

from tasks.rejected.queue import OpenRejections, OpenRows, to_queue


def test_no_rows_are_an_empty_queue() -> None:
    assert to_queue([]) == OpenRejections(0, 0, ())


def test_a_row_counts_once_in_all_and_once_for_each_of_its_rules() -> None:
    queue = to_queue(
        [("EUROPE", "missing_quantity tax_amount_negative", 0, 2, 0), ("EUROPE", "missing_quantity", 3, 1, 0)]
    )
    assert (queue.rows, queue.oldest_days) == (3, 3)
    assert [(group.rule, group.rows) for group in queue.by_rule] == [
        ("missing_quantity", 3),
        ("tax_amount_negative", 2),
    ]


def test_rows_are_counted_by_age_and_without_key() -> None:
    ages = [(0, 1), (1, 2), (6, 4), (7, 8), (40, 16)]
    queue = to_queue([("EUROPE", "missing_sale_id", days, rows, rows // 2) for days, rows in ages])
    assert queue.by_rule == (
        OpenRows("missing_sale_id", "EUROPE", 31, no_key=15, today=1, this_week=6, older=24, oldest_days=40),
    )


def test_most_rows_come_first_then_rule_and_region() -> None:
    answer = [("US_WEST", "b", 0, 1, 0), ("EUROPE", "b", 0, 1, 0), ("EUROPE", "a", 0, 1, 0), ("US_EAST", "z", 0, 9, 0)]
    assert [(group.rule, group.region) for group in to_queue(answer).by_rule] == [
        ("z", "US_EAST"),
        ("a", "EUROPE"),
        ("b", "EUROPE"),
        ("b", "US_WEST"),
    ]
