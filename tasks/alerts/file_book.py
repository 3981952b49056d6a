"""The book of alerts in files, for programs that run without a Prefect server. Knows no Prefect."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tasks.alerts.book import AlertEntry, Stage, plain_name


@dataclass(frozen=True)
class FileBook:
    """Entries as files `<slot>.json` of a directory."""

    directory: Path

    def claim(self, entry: AlertEntry) -> bool:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.directory / f".{entry.holder}"
        draft.write_text(entry.to_text(), encoding="utf-8")
        try:
            # A link fails where a file exists, and a reader sees the whole file or none.
            os.link(draft, self._file(entry.slot))
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def find(self, slot: str) -> AlertEntry | None:
        return self._read(self._file(slot))

    def remove(self, entry: AlertEntry) -> bool:
        with self._locked():
            if self.find(entry.slot) != entry:
                return False
            self._file(entry.slot).unlink()
            return True

    def rewrite(self, entry: AlertEntry, stage: Stage, at: datetime) -> None:
        with self._locked():
            held = self.find(entry.slot)
            if held and held.holder == entry.holder:
                draft = self.directory / f".{entry.holder}"
                draft.write_text(replace(entry, stage=stage, at=at).to_text(), encoding="utf-8")
                draft.replace(self._file(entry.slot))

    def entries(self) -> list[AlertEntry]:
        found = (self._read(file) for file in sorted(self.directory.glob("*.json")))
        return [entry for entry in found if entry]

    def _file(self, slot: str) -> Path:
        return self.directory / f"{plain_name(slot)}.json"

    def _read(self, file: Path) -> AlertEntry | None:
        try:
            return AlertEntry.from_text(file.read_text(encoding="utf-8"), file.name)
        except FileNotFoundError:
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
