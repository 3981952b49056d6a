"""What applying did to one thing."""

from dataclasses import dataclass

from tasks.errors import NeedsPersonError


@dataclass(frozen=True)
class Change:
    """One thing on the server and what became of it: created, updated, unchanged or removed."""

    kind: str
    name: str
    outcome: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.outcome}" + (f" ({self.note})" if self.note else "")


class DeployError(NeedsPersonError):
    """Raised when something cannot be applied; the message is one line that names the thing and the next step."""
