"""A shop that sells on one day: its sales at the sources, and what the warehouse holds of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.publish import Publication
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import load


@dataclass(frozen=True)
class Shop:
    """Keys begin with `prefix`, one per test file, and the day; all sales have `cells`."""

    world: World
    day: date
    prefix: str
    cells: Mapping[str, Any] = field(default_factory=dict)

    def on(self, day: date) -> "Shop":
        """The same shop on another day."""
        return replace(self, day=day)

    def key(self, name: str) -> str:
        """The `sale_id` of a sale; of all sales for `%`."""
        return f"{self.prefix}-{self.day}-{name}"

    def noon(self, days: int = 0) -> datetime:
        """When the day's sales are sold and changed; with `days`, so many days later."""
        noon: datetime = good_sale("EUROPE", self.day + timedelta(days=days))["updated_at"]
        return noon

    def sell(self, *names: str, region: str = "EUROPE", **cells: Any) -> None:
        """Inserts good sales at noon, with other cells where they are given."""
        given = {**self.cells, **cells}
        self.world.insert(
            region, *(good_sale(region, self.day) | {"sale_id": self.key(name)} | given for name in names)
        )

    def change(self, name: str, cells: str) -> None:
        """Changes a sale at the source. Daily runs never see it, unless `updated_at` is among the cells."""
        self.world.change("EUROPE", f"UPDATE sales_transactions SET {cells} WHERE sale_id = %s", (self.key(name),))

    def remove(self, name: str) -> None:
        """Deletes a sale at the source."""
        self.world.change("EUROPE", "DELETE FROM sales_transactions WHERE sale_id = %s", (self.key(name),))

    def load(self, scratch: Path, *regions: str) -> Publication:
        """Loads the day by the plain steps; without regions, Europe's."""
        return load(self.world, self.day, scratch, *(regions or ("EUROPE",)))

    def sales(self) -> dict[str, tuple[str, str]]:
        """Amount and first letter of the batch by name. The amount of a deleted sale is `deleted`."""
        rows = self.world.sql(
            "SELECT SALE_ID, IFF(IS_DELETED, 'deleted', TOTAL_AMOUNT::VARCHAR), LEFT(ETL_BATCH_ID, 1) FROM SALES_FACT "
            "WHERE SALE_ID LIKE ? ORDER BY 1",
            (self.key("%"),),
        )
        sales = {key.removeprefix(self.key("")): (amount, batch) for key, amount, batch in rows}
        assert len(sales) == len(rows), f"a sale stands twice: {rows}"
        return sales

    def amounts(self) -> dict[str, str]:
        """The amounts alone."""
        return {name: amount for name, (amount, _) in self.sales().items()}

    def statuses(self) -> dict[str, list[str]]:
        """Statuses of the rejected rows by name, in the order of their runs; rows of the date without a key at ``."""
        found = self.world.sql(
            "SELECT SALE_KEY, STATUS FROM SALES_REJECTED "
            "WHERE SALE_KEY LIKE ? OR (SALE_KEY IS NULL AND ETL_BATCH_ID = ?) ORDER BY ETL_RUN_NUMBER",
            (self.key("%"), f"{self.day:%Y%m%d}"),
        )
        known: dict[str, list[str]] = {}
        for key, status in found:
            known.setdefault((key or "").removeprefix(self.key("")), []).append(status)
        return known

    def fact(self, where: str = "TRUE") -> tuple[int, int]:
        """The contents of SALES_FACT, without the publish since which a version stands, which is new for a restored
        one."""
        return self.world.contents(f"SELECT * EXCLUDE (ETL_PUBLISH_NUMBER) FROM SALES_FACT WHERE {where}")

    def rejected(self) -> tuple[int, int]:
        """The contents of SALES_REJECTED."""
        return self.world.contents("SELECT * FROM SALES_REJECTED")

    def tables(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The contents of both."""
        return self.fact(), self.rejected()
