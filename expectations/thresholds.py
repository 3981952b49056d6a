"""The limits that decide whether a batch is good enough to publish."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Thresholds:
    """Limits of the quality gate; each is a Prefect variable of the same name, with the default given here.

    Percentages are of rows, 0 to 100, and exact. A batch fails when it reaches `max_null_percentage` or exceeds
    `max_rejected_percentage`.
    """

    min_record_count: int = 100
    min_region_record_count: int = 1
    max_null_percentage: Decimal = Decimal("5.0")
    max_rejected_percentage: Decimal = Decimal("5.0")
