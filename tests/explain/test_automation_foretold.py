"""Made-up automations: whatever is foretold of somebody, and in the forecast, is what then happens."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import people
from dripstone.automations.models import Automation, Step
from dripstone.engine import enroll
from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.explain import automation_journey
from dripstone.foresight import forecast
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber
from tests.automations.drawing import automation
from tests.automations.making import switch
from tests.driving import Engine
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
Told = list[tuple[datetime, str]]
HORIZON = timedelta(days=20)
ZONES = ("UTC", "America/New_York", "Pacific/Chatham")

spans = st.one_of(
    st.integers(1, 90).map(lambda n: {"minutes": n}), st.integers(1, 50).map(lambda n: {"hours": n}),
    st.integers(1, 3).map(lambda n: {"days": n}),
)  # fmt: skip
untils = st.one_of(
    st.fixed_dictionaries({"weekdays": st.lists(st.sampled_from(["monday", "thursday", "sunday"]), min_size=1,
                                                unique=True), "hour": st.integers(0, 23)}),
    st.integers(-30, 200).map(lambda hours: {"at": (NOW + timedelta(hours=hours)).isoformat()}),
    st.fixed_dictionaries({"custom_field_id": st.just(0), "days": st.integers(-2, 3), "hour": st.integers(0, 23)}),
)  # fmt: skip
walked_sequences = st.tuples(st.integers(0, 1), st.sampled_from(["completed", "last_email", False])).map(
    lambda both: {"kind": "sequence", "sequence_id": both[0], "wait": both[1]}
)
nodes = st.one_of(
    spans.map(lambda span: {"kind": "wait", "for": span}),
    untils.map(lambda until: {"kind": "wait", "until": until}),
    st.just({"kind": "tag"}),
    walked_sequences,
    walked_sequences,
    st.integers(0, 100).map(lambda n: {"kind": "split", "branches": [{"percent": n}, {"percent": 100 - n}]}),
    st.integers(1, 200).map(
        lambda hours: {"kind": "event", "trigger": "date", "at": (NOW + timedelta(hours=hours)).isoformat()}
    ),
)


class Stage:
    """One person, two sequences, and a chain of nodes; of a split the second branch skips a node."""

    def __init__(self, zone: str, chain: list[Json], is_in_second: bool, date: str | None) -> None:
        self.account: Account = make_account(time_zone=zone)
        field, _ = fields.create(self.account.pk, {"label": "Day"}, NOW, cause=causes.OWNER)
        values = {str(field.pk): date} if date else {}
        self.person: Subscriber = make_subscriber(self.account, fields=values)
        emails: list[Json] = [{"delay_value": 0, "subject": "first"}, {"delay_value": 2, "subject": "second"}]
        self.sequences = [make_sequence(self.account, *emails, name=f"S{n}") for n in range(2)]
        self.acts = {f"n{place}" for place, one in enumerate(chain) if one["kind"] == "tag"}
        self.tags = [make_tag(self.account, name=f"T{n}").pk for n in range(len(chain))]
        self.field_id = field.pk
        if is_in_second:
            enroll.add(self.sequences[1], [self.person.pk], "api", NOW)
        self.automation: Automation = switch(automation(self.account, *self._nodes(chain), is_on=False), "active")
        people.add(self.automation, [self.person.pk], NOW, cause=causes.OWNER)

    def _nodes(self, chain: list[Json]) -> list[Json]:
        keys = [f"n{place}" for place in range(len(chain))]
        following = {place: keys[place] if place < len(keys) else None for place in range(len(keys) + 3)}
        return [self._node(place, one, keys, following) for place, one in enumerate(chain)]

    def _node(self, place: int, one: Json, keys: list[str], following: dict[int, str | None]) -> Json:
        node = {"id": keys[place], **one, "next": following[place + 1]}
        match one["kind"]:
            case "tag":
                node["tag_id"] = self.tags[place]
            case "sequence":
                node["sequence_id"] = self.sequences[one["sequence_id"]].pk
            case "split":
                del node["next"]
                ways = (following[place + 1], following[place + 2])
                node["branches"] = [{**one, "next": to} for one, to in zip(one["branches"], ways, strict=True)]
            case "wait" if "custom_field_id" in one.get("until", {}):
                node["until"] = {**one["until"], "custom_field_id": self.field_id}
        return node

    def foretold(self, now: datetime) -> tuple[Told, str]:
        """Acts and emails, and what the rest depends on."""
        person = Subscriber.objects.get(pk=self.person.pk)
        found = [way for way in automation_journey.of_person(self.account, person, now) if way.is_inside]
        told = [
            (one.at, f"email {one.email_id}" if one.email_id else one.node)
            for way in found
            for one in way.coming
            if one.email_id or one.node in self.acts
        ]
        return sorted(told), "".join(way.depends for way in found)

    def happened(self, after: datetime) -> Told:
        rows = Step.objects.filter(automation_id=self.automation.pk, at__gte=after)
        tagged = [
            (row.at, one["node"])
            for row in rows
            for one in row.path
            if one["node"] in self.acts and one["what"] in ("acted", "passed")
        ]
        sent = Delivery.objects.filter(status="sent", sent_at__gte=after, sequence__in=self.sequences)
        return sorted([*tagged, *((at, f"email {pk}") for pk, at in sent.values_list("email_id", "sent_at") if at)])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    zone=st.sampled_from(ZONES),
    chain=st.lists(nodes, min_size=3, max_size=7),
    is_in_second=st.booleans(),
    date=st.sampled_from([None, "2026-11-26", "2026-11-20", "soon"]),
    later=st.integers(0, 30),
)
def test_what_is_foretold_is_what_happens(
    engine: Engine, zone: str, chain: list[Json], is_in_second: bool, date: str | None, later: int
) -> None:
    with transaction.atomic():
        engine.clock.set(NOW)
        stage = Stage(zone, chain, is_in_second, date)
        leap.to(NOW, stage.account.pk)
        leap.to(NOW + timedelta(hours=later), stage.account.pk)
        now = engine.clock.now() + timedelta(microseconds=1)
        told, depends = stage.foretold(now)
        sends = forecast.of_sequences(Sequence.objects.filter(account=stage.account), now, now + HORIZON)
        leap.to(now + HORIZON, stage.account.pk)
        happened = stage.happened(now)
        assert {one for one in told if one[0] <= now + HORIZON} <= set(happened), depends
        if not depends:
            assert [one for one in happened if one[1] in stage.acts] == [one for one in told if one[1] in stage.acts]
        mails = Counter(what for _, what in happened if what.startswith("email "))
        counted = Counter({f"email {pk}": n for pk, counts in sends.items() if (n := counts.total())})
        assert not counted - mails, "nobody is counted who gets nothing"
        transaction.set_rollback(True)
