"""An entry becomes done or a failure: the one idea of everything that is done in bulk.

An `Operation` says what becomes of entries. `jobs.py` does few at once and keeps many as a job, which `runner.py` works
through. Neither knows what the operation is about, so that any other work on a list can be one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]
Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """shape   as the answer shows it; None where the operation lists failures alone"""

    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """errors   sentences, at least one"""

    errors: Sequence[str]


Outcome = Done | Failed


@dataclass(frozen=True, slots=True)
class Operation:
    """name       a code, which jobs keep
    entries    the member of the body that lists them
    answers    the member of the answer that lists what was done; "" where it lists failures alone
    failed     the member of a failure that shows the entry
    members    of an entry; what else it has is passed over
    nothing    what to say when there are no entries
    at_a_time  entries in one transaction: some ten milliseconds
    do         the outcome of each of some objects, in their order and in the caller's transaction
    show       an entry that failed
    """

    name: str
    entries: str
    answers: str
    failed: str
    members: tuple[str, ...]
    nothing: str
    at_a_time: int
    do: Callable[[int, Sequence[Entry], datetime], list[Outcome]]
    show: Callable[[Entry], Shape]

    def trimmed(self, entry: Any) -> Entry | None:
        """What of an entry is worth keeping; None: it is no object."""
        return {name: entry[name] for name in self.members if name in entry} if isinstance(entry, dict) else None

    def outcomes(self, account_id: int, entries: Sequence[Entry | None], now: datetime) -> list[Outcome]:
        """Of trimmed entries."""
        done = iter(self.do(account_id, [entry for entry in entries if entry is not None], now))
        no_object = Failed([f"{self.failed} must be an object"])
        return [no_object if entry is None else next(done) for entry in entries]

    def failure(self, entry: Entry | None, failed: Failed) -> Shape:
        return {"errors": [*failed.errors], self.failed: self.show(entry or {})}
