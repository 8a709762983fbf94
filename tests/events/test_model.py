"""Any interleaving of writers, passes and readers, against what a reader must see."""

from collections import defaultdict

import pytest
from django.db import connection
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dripstone.events import reading
from dripstone.events.models import Event, Number, Numbering, Reader
from tests.events.writing import connect, write

PEOPLE = 2
WRITERS = st.integers(0, 2)


class Outbox(RuleBasedStateMachine):
    """Three transactions that may be open at once, and two readers. A person is written about by one at a time."""

    def __init__(self) -> None:
        super().__init__()
        for model in (Event, Number, Numbering, Reader):
            model.objects.all().delete()
        self.writers = [connect() for _ in range(3)]
        self.open: dict[int, list[tuple[int, int]]] = defaultdict(list)  # writer → (person, event) not committed
        self.committed: list[tuple[int, int]] = []  # (person, event) in the order of commits
        self.seen: dict[str, list[int]] = {"rules": [], "webhooks": []}

    @rule(writer=WRITERS, person=st.integers(0, PEOPLE), number=st.integers(1, 4))
    def write(self, writer: int, person: int, number: int) -> None:
        holders = {who for who, events in self.open.items() if person in {one for one, _ in events}}
        if holders <= {writer}:  # as the person's lock has it
            self.open[writer] += [(person, write(self.writers[writer], "x", person)) for _ in range(number)]

    @rule(writer=WRITERS)
    def commit(self, writer: int) -> None:
        self.writers[writer].commit()
        self.committed += self.open.pop(writer, [])

    @rule(writer=WRITERS)
    def roll_back(self, writer: int) -> None:
        self.writers[writer].rollback()
        self.open.pop(writer, None)

    @rule()
    def number(self) -> None:
        reading.number_visible()

    @rule(reader=st.sampled_from(["rules", "webhooks"]), limit=st.integers(1, 5))
    def read(self, reader: str, limit: int) -> None:
        with reading.following(reader, limit, start="first") as events:
            self.seen[reader] += [event.pk for event in events]

    @rule(reader=st.sampled_from(["rules", "webhooks"]))
    def fail(self, reader: str) -> None:
        with pytest.raises(RuntimeError), reading.following(reader, start="first"):
            raise RuntimeError

    @invariant()
    def nothing_comes_twice_or_before_it_is_committed(self) -> None:
        for seen in self.seen.values():
            assert len(seen) == len(set(seen))
            assert set(seen) <= {event for _, event in self.committed}

    def teardown(self) -> None:
        """Everything that was committed is read in the end, each person's in the order of commits, by all alike."""
        for writer in self.writers:
            writer.close()
        for reader in self.seen:
            self.read(reader, 1000)
            assert self.seen[reader] == self.seen["rules"]
            for person in range(PEOPLE + 1):
                events = [event for one, event in self.committed if one == person]
                assert [event for event in self.seen[reader] if event in events] == events
        assert sorted(self.seen["rules"]) == sorted(event for _, event in self.committed)
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_every_reader_sees_everything_once_and_each_person_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PASS", 3)  # so that passes are full, too
    examples = max(10, settings().max_examples // 5)  # one takes half a second
    run_state_machine_as_test(Outbox, settings=settings(stateful_step_count=30, max_examples=examples))
