"""People and conditions that are made up: one person asked, all listed and all counted agree with a second reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, note, settings
from hypothesis import strategies as st

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation, Walk
from dripstone.conditions import matching
from dripstone.conditions import words as condition_words
from dripstone.engine.models import Delivery, Enrollment
from dripstone.given import Checked
from dripstone.grammar import Condition
from dripstone.purchases.models import Product
from dripstone.sequences.known import known
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers import locations
from dripstone.subscribers.models import CustomField, Form, FormSubscription, Segment, Subscriber, Tag, Tagging
from tests.conditions import reference
from tests.conditions.reference import Bought, Person, Place, Run, World
from tests.factories import a_location, make_account, make_purchase, make_sequence

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu")

# Things by a number of their own; the world on the stage says which row each is.
TAGS, FORMS, SEQUENCES, EMAILS, FIELDS, SEGMENTS = range(4), range(3), range(3), range(4), range(2), range(3)
PRODUCTS, AUTOMATIONS = range(3), range(3)
GONE = {("tag", 3), ("form", 2), ("sequence", 2), ("email", 3), ("product", 2), ("automation", 2)}

instants = st.integers(-200, 200).map(lambda hours: NOW + timedelta(hours=hours / 2))
days = st.integers(-4, 4).map(lambda n: (NOW + timedelta(days=n)).date().isoformat())
texts = st.sampled_from(
    ["", "Acme", "ACME Ltd", "Łódź", "łÓDŹ", "straße", "STRASSE", "σας", "ΣΑΣ", "100%", "a_b\\", "é", "é"]
)
numbers = st.sampled_from(
    ["0", "9", "10", " 10 ", "-1.5", ".5", "5.", "+7", "1e9", "٣", "1,5", "9" * 40, "NaN", "Infinity"]
)
dates = st.one_of(
    days,
    instants.map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")),
    instants.map(lambda at: at.strftime(" %Y-%m-%d %H:%M ")),
    st.tuples(instants, st.sampled_from(["+01:00", "-0800", "+14", "+05:45", "+23:00"])).map(
        lambda both: both[0].strftime("%Y-%m-%dT%H:%M:%S.5") + both[1]
    ),
    st.sampled_from(["2026-02-29", "2024-02-29", "1900-02-29", "0000-01-01", "2026-11-31", "2026-13-01",
                     "9999-12-31", "0001-01-01", "2026-11-23T24:00", "2026-11-23T09:60", "23.11.2026", "soon",
                     "2026-11-23T09:00+15:00", "0001-01-01T00:00+14"]),
)  # fmt: skip
values = st.one_of(st.none(), texts, numbers, dates, st.sampled_from([5, True, 2.5]))

addresses = ["ann@example.org", "bob@example.org", "eve@shop.test", "łucja@shop.test"]
states = st.sampled_from(["active", "inactive", "cancelled", "bounced", "complained"])


@st.composite
def places(draw: st.DrawFn) -> list[Place]:
    found = []
    for sequence in draw(st.sets(st.sampled_from(SEQUENCES), max_size=2)):
        status = draw(st.sampled_from(["active", "unconfirmed", "completed", "removed"]))
        own = [email for email in EMAILS if email % 2 == sequence]
        sent = draw(st.dictionaries(st.sampled_from(own), instants, max_size=2)) if own else {}
        waits = draw(st.sampled_from([None, *own])) if status == "active" else None
        found.append(Place(sequence, status, waits, sent))
    return found


@st.composite
def runs(draw: st.DrawFn) -> list[Run]:
    """Inside once at a time: only the last run of an automation may be open."""
    found = []
    for automation in draw(st.sets(st.sampled_from(AUTOMATIONS), max_size=2)):
        ended = draw(st.lists(st.sampled_from(["completed", "left"]), max_size=2))
        found += [Run(automation, end) for end in [*ended, *draw(st.sampled_from([[], [None]]))]]
    return found


amounts = st.sampled_from([Decimal(text) for text in ("0", "4.5", "10", "10.01", "19.99", "-3")])
CURRENCIES = ["USD", "EUR"]
# No two places are as far apart as any radius says.
PLACES_ON_EARTH = [
    ("US", 43.62, -116.2),
    ("DE", 52.5, 13.4),
    ("DE", 48.1, 11.6),
    ("FJ", -17.7, 178.0),
    ("NZ", -36.8, -179.0),
]
bought = st.builds(
    Bought,
    products=st.dictionaries(st.sampled_from(PRODUCTS[:-1]), amounts, min_size=1),
    total=amounts,
    currency=st.sampled_from(CURRENCIES),
    status=st.sampled_from(["paid", "paid", "completed", "Refunded", "pending"]),
    at=instants,
)


@st.composite
def crowds(draw: st.DrawFn) -> list[Person]:
    return [
        Person(
            address,
            draw(states),
            draw(instants),
            draw(st.dictionaries(st.sampled_from(["0", "1"]), values)),
            draw(st.sets(st.sampled_from(TAGS))),
            draw(st.dictionaries(st.sampled_from(FORMS), st.sampled_from([None, "", "https://Example.com/?a=%", "é"]))),
            draw(places()),
            draw(st.lists(bought, max_size=3)),
            draw(st.sampled_from([None, *PLACES_ON_EARTH])),
            draw(runs()),
        )
        for address in addresses
    ]


def _ids(among: range) -> st.SearchStrategy[list[int]]:
    """Rarely one that is gone."""
    usual = st.lists(st.sampled_from(among[:-1]), min_size=1, max_size=3, unique=True)
    return st.one_of(usual, usual, usual, st.lists(st.sampled_from(among), min_size=1, unique=True))


def _leaf(kind: str, optional: dict[str, st.SearchStrategy[Any]], **members: Any) -> st.SearchStrategy[Condition]:
    return st.fixed_dictionaries({"type": st.just(kind), **members}, optional=optional)


HAS = {"has": st.sampled_from(["any", "all"])}
THEN = {"after": days, "before": days, "within_days": st.integers(1, 5)}
COUNTS = {f"count_{name}": st.integers(0, 3) for name in grammar.kinds.COUNTS}
TOTALS = {f"total_{name}": st.integers(0, 25) for name in grammar.kinds.COUNTS}
NEAR = {
    "latitude": st.sampled_from([43.0, 52.5, -30.0]),
    "longitude": st.sampled_from([-116.0, 13.4, 179.9]),
    "radius": st.sampled_from([0.5, 50.0, 400.0, 2000.0, 13_000.0]),
}
PARTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("emails"), "ids": _ids(EMAILS)}),
        st.fixed_dictionaries({"type": st.just("sequences"), "ids": _ids(SEQUENCES)}),
    ),
    min_size=1,
    max_size=2,
)
ORIGIN = st.one_of(
    st.fixed_dictionaries({"type": st.just("forms"), "ids": _ids(FORMS)}),
    st.fixed_dictionaries({"type": st.just("referrer"), "comparison": st.just("has_value")}),
    st.fixed_dictionaries(
        {
            "type": st.just("referrer"),
            "comparison": st.sampled_from(["is", "contains", "starts_with", "ends_with"]),
            "value": st.sampled_from(["https://EXAMPLE.com/?a=%", "example", "HTTPS", "%", "É"]),
        }
    ),
)
said = texts.filter(bool)
plain_numbers = st.sampled_from(["0", "9.5", "-2", "10", ".5"])
few_days = st.integers(-3, 3).map(str)


def _field(comparisons: tuple[str, ...], value: st.SearchStrategy[str]) -> st.SearchStrategy[Condition]:
    comparison = st.sampled_from(comparisons)
    return _leaf(
        "custom_field", {}, subscriber_custom_field_id=st.sampled_from(FIELDS), comparison=comparison, value=value
    )


KINDS = (
    _leaf("tags", HAS, ids=_ids(TAGS)),
    _leaf("forms", HAS, ids=_ids(FORMS)),
    *(_leaf("sequences", {}, ids=_ids(SEQUENCES), place=st.just(place)) for place in grammar.kinds.PLACES),
    _leaf("sequences", {}, ids=_ids(SEQUENCES), place=st.just("inside"), waiting_for=_ids(EMAILS)),
    *(_leaf("automations", {}, ids=_ids(AUTOMATIONS), place=st.just(place)) for place in grammar.kinds.PLACES),
    _leaf("subscriber_state", {}, states=st.lists(states, min_size=1, unique=True)),
    _leaf(
        "email_address",
        {},
        comparison=st.sampled_from(["is", "contains", "ends_with"]),
        value=st.sampled_from(["ANN@example.org", "@shop.test", "Łuc", "%", "example", " eve@shop.test "]),
    ),
    _leaf("custom_field", {}, subscriber_custom_field_id=st.sampled_from(FIELDS), comparison=st.just("has_value")),
    _field(grammar.kinds.TEXT_COMPARISONS, said),
    *(_field((comparison,), plain_numbers) for comparison in grammar.kinds.NUMBER_COMPARISONS),
    *(_field((comparison,), days) for comparison in grammar.kinds.DATE_COMPARISONS),
    _field(("days_from_now",), few_days),
    *(_leaf("subscribed", {}, **{name: value}) for name, value in THEN.items()),
    _leaf("attribution", {}, any=st.lists(ORIGIN, min_size=1, max_size=2)),
    _leaf("sent", {**THEN, "any": PARTS}),
    *(_leaf("sent", {"any": PARTS}, **{name: value}) for name, value in COUNTS.items()),
    _leaf("sent", {**COUNTS, **THEN, "any": PARTS}),
    _leaf("purchases", {**THEN, "products": _ids(PRODUCTS), "currency": st.sampled_from(CURRENCIES)}),
    *(
        _leaf("purchases", {"products": _ids(PRODUCTS)}, **{name: value})
        for name, value in {**COUNTS, **TOTALS}.items()
    ),
    _leaf("purchases", {**COUNTS, **TOTALS, **THEN, "products": _ids(PRODUCTS)}),
    _leaf("location", {}, countries=st.lists(st.sampled_from(["US", "DE", "FR"]), min_size=1, unique=True)),
    _leaf("location", {}, **NEAR),
)
leaves = st.one_of(*KINDS)


def _groups(inside: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inside, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"all": several}),
        st.fixed_dictionaries({"any": several}),
        st.fixed_dictionaries({"not": inside}),
    )


nested = _groups(_groups(leaves) | leaves)
with_segments = leaves | _leaf("segments", HAS, ids=st.lists(st.sampled_from(SEGMENTS), min_size=1, unique=True))
conditions = with_segments | _groups(with_segments) | _groups(_groups(with_segments) | with_segments)


# --- On the stage -------------------------------------------------------------------------------------------------


class Stage:
    """The world as rows."""

    def __init__(self, zone: str, people: list[Person], segments: list[Condition]) -> None:
        self.account: Account = make_account(time_zone=zone)
        stamps = {"account": self.account, "created_at": NOW}
        self.rows: dict[tuple[str, int], int] = {}
        self.n_purchases = 0
        for number in TAGS:
            self.rows["tag", number] = Tag.objects.create(name=f"tag {number}", **stamps).pk
        for number in FORMS:
            form = Form.objects.create(name=f"form {number}", uid=f"{self.account.pk}-{number}", **stamps)
            self.rows["form", number] = form.pk
        for number in FIELDS:
            names = {"label": f"Field {number}", "key": f"f{number}", "name": f"ck{number}"}
            self.rows["custom_field", number] = CustomField.objects.create(**names, **stamps).pk
        for number in PRODUCTS:
            product = Product.objects.create(pid=str(number), name=f"product {number}", **stamps)
            self.rows["product", number] = product.pk
        for number in SEQUENCES:
            emails = [{"delay_value": 1}, {"delay_value": 1}] if number < 2 else []
            sequence = make_sequence(self.account, *emails, name=f"sequence {number}")
            self.rows["sequence", number] = sequence.pk
            for place, email in enumerate(sequence.emails.order_by("position")):
                self.rows["email", number + 2 * place] = email.pk
        for number in AUTOMATIONS:
            times = {"status_at": NOW, "made_at": NOW, "changed_at": NOW}
            automation = Automation.objects.create(account=self.account, name=f"automation {number}", **times)
            self.rows["automation", number] = automation.pk
        self.segments: dict[int, Condition] = {}
        for number, condition in enumerate(segments):
            given = self.real(condition)
            self.rows["segment", number] = pk = Segment.objects.create(
                name=f"segment {number}", filter=given, **stamps
            ).pk
            self.segments[pk] = given
        self.people = {self._make(person): self._real_person(person) for person in people}
        self._delete_what_is_gone()
        there = {(kind, pk) for (kind, number), pk in self.rows.items() if (kind, number) not in GONE}
        self.world = World(NOW, ZoneInfo(zone), self.segments, there)

    def real(self, condition: Any) -> Any:
        """With the ids of rows in place of numbers."""
        if isinstance(condition, list):
            return [self.real(one) for one in condition]
        if not isinstance(condition, dict):
            return condition
        found = {name: self.real(value) for name, value in condition.items()}
        kind = str(condition.get("type", "")).removesuffix("s")
        if "ids" in condition:
            found["ids"] = [self.rows[kind, number] for number in condition["ids"]]
        if "products" in condition:
            found["products"] = [self.rows["product", number] for number in condition["products"]]
        if "waiting_for" in condition:
            found["waiting_for"] = [self.rows["email", number] for number in condition["waiting_for"]]
        if "subscriber_custom_field_id" in condition:
            found["subscriber_custom_field_id"] = self.rows["custom_field", condition["subscriber_custom_field_id"]]
        return found

    def _make(self, person: Person) -> int:
        fields = {str(self.rows["custom_field", int(number)]): value for number, value in person.fields.items()}
        row = Subscriber.objects.create(
            account=self.account,
            email_address=person.address,
            state=person.state,
            fields=fields,
            created_at=person.created_at,
            updated_at=NOW,
            canceled_at=NOW if person.state == "cancelled" else None,
        )
        Tagging.objects.bulk_create(
            Tagging(tag_id=self.rows["tag", number], subscriber=row, tagged_at=NOW) for number in person.tags
        )
        for number, referrer in person.forms.items():
            form = self.rows["form", number]
            FormSubscription.objects.create(form_id=form, subscriber=row, referrer=referrer, added_at=NOW)
        for place in person.places:
            self._put(row, place)
        for number, run in enumerate(person.runs, start=1):
            self._walk(row, number, run)
        for one in person.purchases:
            self._buy(row, one)
        if person.location is not None:
            country, latitude, longitude = person.location
            located = {"country_code": country, "latitude": latitude, "longitude": longitude}
            locations.pin(row.pk, a_location(**located), NOW)
        return row.pk

    def _walk(self, row: Subscriber, number: int, run: Run) -> None:
        Walk.objects.create(
            account_id=self.account.pk,
            automation_id=self.rows["automation", run.automation],
            subscriber_id=row.pk,
            run=number,
            entered_at=NOW,
            arrived_at=NOW,
            left_at=NOW if run.end else None,
            is_completed=run.end == "completed",
        )

    def _buy(self, row: Subscriber, one: Bought) -> None:
        self.n_purchases += 1
        lines = [
            {"name": "x", "pid": str(number), "lid": str(number), "quantity": 1, "unit_price": float(amount)}
            for number, amount in one.products.items()
        ]
        make_purchase(
            self.account,
            email_address=row.email_address,
            transaction_id=str(self.n_purchases),
            products=lines,
            total=float(one.total),
            currency=one.currency,
            status=one.status,
            transaction_time=one.at.isoformat(),
        )

    def _put(self, row: Subscriber, place: Place) -> None:
        waits = None if place.waits_for is None else self.rows["email", place.waits_for]
        known_to = {"account_id": self.account.pk, "sequence_id": self.rows["sequence", place.sequence]}
        enrollment = Enrollment.objects.create(
            subscriber=row,
            status=place.status,
            source="api",
            entered_at=NOW,
            anchored_at=NOW,
            next_email_id=waits,
            completed_at=NOW if place.status == "completed" else None,
            removed_at=NOW if place.status == "removed" else None,
            **known_to,
        )
        for number, at in place.sent.items():
            ends = {"sent_at": at, "ended_at": at, "planned_at": at, "status": "sent"}
            email = self.rows["email", number]
            Delivery.objects.create(subscriber=row, enrollment=enrollment, run=1, email_id=email, **ends, **known_to)
        skipped = {"status": "skipped", "planned_at": NOW, "ended_at": NOW}
        Delivery.objects.create(
            subscriber=row, enrollment=enrollment, run=2, email_id=self.rows["email", 0], **skipped, **known_to
        )

    def _real_person(self, person: Person) -> Person:
        return Person(
            person.address,
            person.state,
            person.created_at,
            {str(self.rows["custom_field", int(number)]): value for number, value in person.fields.items()},
            {self.rows["tag", number] for number in person.tags},
            {self.rows["form", number]: referrer for number, referrer in person.forms.items()},
            [
                Place(
                    self.rows["sequence", place.sequence],
                    place.status,
                    None if place.waits_for is None else self.rows["email", place.waits_for],
                    {self.rows["email", number]: at for number, at in place.sent.items()},
                )
                for place in person.places
            ],
            [
                replace(one, products={self.rows["product", number]: of for number, of in one.products.items()})
                for one in person.purchases
            ],
            person.location,
            [replace(run, automation=self.rows["automation", run.automation]) for run in person.runs],
        )

    def _delete_what_is_gone(self) -> None:
        Tag.objects.filter(pk=self.rows["tag", 3]).delete()
        Form.objects.filter(pk=self.rows["form", 2]).delete()
        Product.objects.filter(pk=self.rows["product", 2]).delete()
        Automation.objects.filter(pk=self.rows["automation", 2]).delete()
        self.account.sequences.filter(pk=self.rows["sequence", 2]).update(deleted_at=NOW)
        SequenceEmail.objects.filter(pk=self.rows["email", 3]).update(deleted_at=NOW)
        for person in self.people.values():
            person.tags.discard(self.rows["tag", 3])
            person.forms.pop(self.rows["form", 2], None)


@contextmanager
def stage(zone: str, people: list[Person], segments: list[Condition]) -> Iterator[Stage]:
    with transaction.atomic():
        yield Stage(zone, people, segments)
        transaction.set_rollback(True)


@given(
    st.sampled_from(ZONES),
    crowds(),
    st.lists(nested, min_size=3, max_size=3),
    st.tuples(*KINDS),
    st.lists(conditions, min_size=5, max_size=10),
)
@settings(max_examples=25)
def test_everybody_agrees(
    zone: str,
    people: list[Person],
    segments: list[Condition],
    one_of_each: tuple[Condition, ...],
    more: list[Condition],
) -> None:
    with stage(zone, people, segments) as on:
        someone = min(on.people)
        for condition in map(on.real, [*one_of_each, *more]):
            note(str(condition))
            expected = {pk for pk, person in on.people.items() if reference.meets(person, condition, on.world)}
            assert listed(condition, on) == expected
            is_broken = reference.is_broken(condition, on.world)
            assert listed({"not": condition}, on) == (set() if is_broken else set(on.people) - expected)
            assert matching(condition, on.account, NOW, among=[someone]).exists() == (someone in expected)
        for condition in map(on.real, more):
            expected = listed(condition, on)
            among = matching(condition, on.account, NOW, among=list(on.people))
            assert matching(condition, on.account, NOW).count() == among.count() == len(expected)
            assert matching(condition, on.account, NOW).filter(pk=someone).exists() == (someone in expected)


def listed(condition: Condition, on: Stage) -> set[int]:
    return set(matching(condition, on.account, NOW).values_list("pk", flat=True))


@given(st.sampled_from(ZONES), crowds(), st.lists(nested, min_size=3, max_size=3), conditions)
@settings(max_examples=25)
def test_what_is_read_is_what_was_given(
    zone: str, people: list[Person], segments: list[Condition], condition: Condition
) -> None:
    """As long as all that it names is there; and it can be said, names and all."""
    with stage(zone, people, segments) as on:
        given = Checked({"filter": on.real(condition)})
        names_what_is_gone = any(
            (kind, pk) not in on.world.there for kind, pk in grammar.things(on.real(condition)) if kind != "segment"
        )
        found = grammar.read(given, "filter", known(on.account.pk))
        assert bool(given.problems) == names_what_is_gone
        assert names_what_is_gone or found == on.real(condition)
        assert condition_words.sentence(on.real(condition), on.account.pk)
        assert ("gone" in condition_words.sentence(on.real(condition), on.account.pk)) == names_what_is_gone


# --- The old form of segments ---------------------------------------------------------------------------------------

old_conditions = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tag", "form", "sequence"]),
            "operator": st.sampled_from(["in", "not_in"]),
            "ids": st.lists(st.integers(0, 1), min_size=1, unique=True),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("field"),
            "operator": st.sampled_from(["equals", "not_equals", "contains"]),
            "field_id": st.sampled_from(["0", "1"]),
            "value": texts,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("field"),
            "operator": st.sampled_from(["is_set", "is_not_set"]),
            "field_id": st.sampled_from(["0", "1"]),
        }
    ),
)


def holds(person: Person, one: Condition) -> bool:
    """As engine/audience.py asked it before there was a grammar."""
    if one["type"] == "field":
        text, value = person.fields.get(one["field_id"]), one.get("value", "")
        answers: dict[str, bool] = {
            "equals": text == value,
            "not_equals": text != value,
            "contains": text is not None and reference.capitals(value) in reference.capitals(text),
            "is_set": text not in (None, ""),
            "is_not_set": text in (None, ""),
        }
        return answers[one["operator"]]
    here = {place.sequence for place in person.places if place.status in ("active", "unconfirmed", "completed")}
    has: set[int] = {"tag": person.tags, "form": set(person.forms), "sequence": here}[one["type"]]
    is_in: bool = one["operator"] == "in"
    return bool(has & set(one["ids"])) == is_in


@given(crowds(), st.sampled_from(["all", "any"]), st.lists(old_conditions, max_size=3))
@settings(max_examples=30)
def test_the_old_form_says_what_it_said(people: list[Person], match: str, old: list[Condition]) -> None:
    for person in people:  # values were texts or null
        person.fields = {key: value if isinstance(value, str) else None for key, value in person.fields.items()}
    with stage("UTC", people, []) as on:
        filter = {"match": match, "conditions": [on.real(one) for one in old]}
        for one in filter["conditions"]:
            if one["type"] == "field":
                one["field_id"] = str(on.rows["custom_field", int(one["field_id"])])
        expected = set()
        for pk, person in on.people.items():
            answers = [holds(person, one) for one in filter["conditions"]]
            if not answers or (all(answers) if match == "all" else any(answers)):
                expected.add(pk)
        assert set(matching(filter, on.account, NOW).values_list("pk", flat=True)) == expected
