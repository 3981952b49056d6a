"""Verify: what the table has to show, and the message that refuses a difference."""

import pytest

from tasks.batch import Attempt
from tasks.errors import NeedsPersonError
from tasks.stage import Manifest, StagedFile
from tasks.tally import Tally
from tasks.verify import expected_in_table
from tasks.warehouse.second_look import Comparison, refuse_differences
from tests.unit.findings import euros, publication, published


def staged(region: str, number: int, tally: Tally) -> StagedFile:
    return StagedFile(f"clean/{region}-{number:03d}.parquet", "clean", region, tally.rows, 1, "ab", tally)


def test_the_table_shows_the_files_rows_without_those_that_gave_way() -> None:
    files = (
        staged("EUROPE", 0, euros(60, "6.00")),
        staged("EUROPE", 1, euros(40, "4.00")),
        staged("US_EAST", 0, euros(5, "5.00")),
        StagedFile("rejected/EUROPE-000.parquet", "rejected", "EUROPE", 9, 1, "cd", None),
    )
    manifest = Manifest(Attempt(42, "x", "20240115", ("EUROPE", "US_EAST")), {}, files)
    europe = published("EUROPE", 97, cross_region=3)
    assert expected_in_table(manifest, publication(europe)) == {"EUROPE": euros(97, "10.00")}


def test_a_table_that_shows_what_was_published_is_fine() -> None:
    refuse_differences([Comparison("EUROPE", euros(5, "1.00"), euros(5, "1.00"))], 0)


@pytest.mark.parametrize(
    ("found", "repeated", "message"),
    [
        pytest.param(euros(4, "1.00"), 0, "EUROPE: rows 5 against 4", id="a-row-missing"),
        pytest.param(euros(5, "1.01"), 0, "EUROPE: total_amount EUR 1.00 against 1.01", id="a-cent"),
        pytest.param(euros(5, "1.00"), 2, "2 rows repeat a sale_id", id="repeated-keys"),
        pytest.param(Tally(), 1, "EUROPE: rows 5 against 0.*; 1 rows repeat a sale_id", id="everything"),
    ],
)
def test_a_difference_is_refused_with_its_figures(found: Tally, repeated: int, message: str) -> None:
    with pytest.raises(NeedsPersonError, match=f"the fact table does not show the published batch: .*{message}"):
        refuse_differences([Comparison("EUROPE", euros(5, "1.00"), found)], repeated)
