"""An attempt: one run's try at a batch, its number, its names. Pure."""

from dataclasses import dataclass

from tasks.batch import HEAL, REPLAY
from tasks.statements import StagingTables, render_part


@dataclass(frozen=True)
class Attempt:
    """One run at a batch. `run_number` comes from one counter; everything that it makes carries it in its name."""

    run_number: int
    flow_run_id: str
    batch_id: str
    regions: tuple[str, ...]

    @property
    def staging_prefix(self) -> str:
        """The folder in the staging bucket that belongs to this attempt alone."""
        return f"sales/batch={self.batch_id}/run={self.run_number:06d}"

    @property
    def is_replay(self) -> bool:
        """Whether rejected rows are read again."""
        return self.batch_id.startswith(REPLAY)

    @property
    def is_of_keys(self) -> bool:
        """Whether sales are loaded by their keys, whatever their date: a replay or a heal."""
        return self.batch_id.startswith((REPLAY, HEAL))

    @property
    def staging_tables(self) -> StagingTables:
        return StagingTables.of_run(self.run_number)

    @property
    def subqueries(self) -> dict[str, str]:
        """Which keys matter to the attempt, and which sales stand with them after its MERGE."""
        tables, run_number = vars(self.staging_tables), f"{self.run_number:d}"
        return {
            "wanted_keys": render_part("publish/wanted_keys", **tables),
            "standing_now": render_part("publish/standing_now", **tables, run_number=run_number),
        }
