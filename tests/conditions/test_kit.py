"""Kit's filter, translated: against a second reading in plain Python, and what is said about what cannot be read."""

from datetime import date, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from dripstone.conditions import kit
from dripstone.engine.models import Delivery
from dripstone.given import Checked
from dripstone.grammar import kinds
from dripstone.subscribers import forms
from dripstone.subscribers.models import FormSubscription, Location, Subscriber
from tests.conditions import reference, test_reference
from tests.conditions.reference import Person, World
from tests.conditions.test_reference import EMAILS, FORMS, NOW, SEQUENCES, TAGS, ZONES, Stage, crowds, days, stage
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.making import make_delivery

pytestmark = pytest.mark.django_db

Condition = dict[str, Any]

# --- A second reading ----------------------------------------------------------------------------------------------


def meets(person: Person, filter: Condition, world: World) -> bool:
    return all(globals()[f"_{one['type']}"](person, one, world) for one in filter["all"])


def _known(kind: str, ids: list[int], world: World) -> list[int]:
    return [pk for pk in ids if (kind, pk) in world.there]


def _tags(person: Person, one: Condition, world: World) -> bool:
    return any(pk in person.tags for part in one["any"] for pk in part["matching"])


def _subscriber_state(person: Person, one: Condition, world: World) -> bool:
    return person.state in one["states"]


def _subscribed(person: Person, one: Condition, world: World) -> bool:
    return _is_within(person.created_at, one, world)


def _is_within(at: datetime, one: Condition, world: World) -> bool:
    day = world.day(at)
    return not (one.get("after") and day < date.fromisoformat(one["after"])) and not (
        one.get("before") and day >= date.fromisoformat(one["before"])
    )


def _custom_field(person: Person, one: Condition, world: World) -> bool:
    is_there = ("custom_field", one["subscriber_custom_field_id"]) in world.there
    return is_there and reference.meets(person, one, world)


def _opens(person: Person, one: Condition, world: World) -> bool:
    return False


def _sent(person: Person, one: Condition, world: World) -> bool:
    emails = [pk for part in one.get("any", []) if part["type"] == "emails" for pk in part["ids"]]
    sequences = [pk for part in one.get("any", []) if part["type"] == "sequences" for pk in part["ids"]]
    emails, sequences = _known("email", emails, world), _known("sequence", sequences, world)
    if one.get("any") and not emails and not sequences:
        return False
    n = sum(
        _is_within(at, one, world) and (not one.get("any") or email in emails or place.sequence in sequences)
        for place in person.places
        for email, at in place.sent.items()
    )
    compared = {"greater_than": gt, "greater_than_or_equal": ge, "less_than": lt, "less_than_or_equal": le}
    answers = [is_so(n, one[f"count_{how}"]) for how, is_so in compared.items() if f"count_{how}" in one]
    return all(answers) if answers else n > 0


def _attribution(person: Person, one: Condition, world: World) -> bool:
    first = next(iter(person.forms), None)
    return first is not None and any(_is_from(first, part) for part in one["any"])


def _is_from(form: int, part: Condition) -> bool:
    if part["type"] == "forms":
        return form in part["ids"]
    return (
        part.get("source_type", "form_subscription") == "form_subscription"
        and part.get("mechanism", "form") == "form"
        and form in part.get("source_ids", [form])
        and form in part.get("mechanism_ids", [form])
    )


# --- Filters that are made up ----------------------------------------------------------------------------------------


def _ids(among: range) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(among), min_size=1, max_size=3)


def _object(kind: str, optional: dict[str, Any] | None = None, **members: Any) -> st.SearchStrategy[Condition]:
    return st.fixed_dictionaries({"type": st.just(kind), **members}, optional=optional or {})


def _parts(*parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[list[Condition]]:
    return st.lists(st.one_of(*parts), min_size=1, max_size=2)


_SPAN = {"after": days, "before": days}
_COUNTS = {f"count_{name}": st.integers(0, 2) for name in kinds.COUNTS}
_SOURCE = {
    "source_type": st.sampled_from(["form_subscription", "form_subscription", "manual"]),
    "mechanism": st.sampled_from(["form", "form", "landing_page", "import"]),
}
_CONDITIONS = (
    _object("tags", any=_parts(_object("ids", matching=_ids(TAGS)))),
    _object("subscriber_state", states=st.lists(test_reference.states, min_size=1)),
    _object("subscribed", {"before": days}, after=days),
    _object("subscribed", {"after": days}, before=days),
    _object("custom_field", subscriber_custom_field_id=st.sampled_from(range(2)), comparison=st.just("has_value")),
    _object(
        "sent",
        {
            **_SPAN,
            **_COUNTS,
            "any": _parts(_object("emails", ids=_ids(EMAILS)), _object("sequences", ids=_ids(SEQUENCES))),
        },
    ),
    _object(
        "attribution",
        any=_parts(_object("forms", ids=_ids(FORMS)), _object("kit_source", _SOURCE, source_ids=_ids(FORMS))),
    ),
    _object("opens", {**_SPAN, **_COUNTS}),
)
filters = st.fixed_dictionaries(
    {"all": st.lists(st.one_of(*_CONDITIONS), max_size=3)},
    optional={"counting_mode": st.sampled_from(["raw", "unique_email", None])},
)

_NAMES = {"matching": "tag", "source_ids": "form", "mechanism_ids": "form"}


def real(given: Any, on: Stage) -> Any:
    """With the ids of rows in place of numbers."""
    if isinstance(given, list):
        return [real(one, on) for one in given]
    if not isinstance(given, dict):
        return given
    found = {name: real(value, on) for name, value in given.items()}
    for name, value in given.items():
        kind = _NAMES.get(name) or (given.get("type", "").removesuffix("s") if name == "ids" else None)
        if kind:
            found[name] = [on.rows[kind, number] for number in value]
    if "subscriber_custom_field_id" in given:
        found["subscriber_custom_field_id"] = on.rows["custom_field", given["subscriber_custom_field_id"]]
    return found


def read(filter: Condition, account_id: int) -> kit.Filter:
    given = Checked(filter)
    found = kit.read(given, account_id)
    assert given.problems == []
    return found


@given(st.sampled_from(ZONES), crowds(), st.tuples(*_CONDITIONS), st.lists(filters, min_size=5, max_size=10))
@settings(max_examples=25)
def test_it_finds_whom_a_second_reading_finds(
    zone: str, people: list[Person], one_of_each: tuple[Condition, ...], more: list[Condition]
) -> None:
    with stage(zone, people, []) as on:
        for one in (real(given, on) for given in [*({"all": [each]} for each in one_of_each), *more]):
            note(str(one))
            expected = {pk for pk, person in on.people.items() if meets(person, one, on.world)}
            found = read(one, on.account.pk)
            assert set(found.people(on.account, NOW).values_list("pk", flat=True)) == expected
            assert found.people(on.account, NOW).count() == len(expected)


# --- Examples ------------------------------------------------------------------------------------------------------


def test_a_day_begins_what_comes_after_it_and_ends_what_came_before(now: datetime) -> None:
    account = make_account(time_zone="Europe/Berlin")
    midnight = datetime(2026, 11, 20, tzinfo=ZoneInfo("Europe/Berlin"))
    before, first, last = (
        make_subscriber(account, created_at=midnight + timedelta(seconds=seconds)) for seconds in (-1, 0, 86_399)
    )

    def ids(**when: str) -> set[int]:
        filter = {"all": [{"type": "subscribed", **when}]}
        return set(read(filter, account.pk).people(account, now).values_list("pk", flat=True))

    assert ids(after="2026-11-20") == {first.pk, last.pk}
    assert ids(before="2026-11-20") == {before.pk}
    assert ids(after="2026-11-20", before="2026-11-21") == {first.pk, last.pk}
    assert ids(after="2026-11-21") == set()


def test_an_email_that_came_twice_counts_twice_or_once(now: datetime) -> None:
    account = make_account()
    person = make_subscriber(account)
    place = make_enrollment(make_sequence(account, {"delay_value": 1}), person)
    Delivery.objects.all().delete()
    make_delivery(place, run=1)
    make_delivery(place, run=2)

    def n(mode: str, **counts: int) -> int:
        filter = {"all": [{"type": "sent", **counts}], "counting_mode": mode}
        return read(filter, account.pk).people(account, now).count()

    assert (n("raw", count_greater_than=1), n("unique_email", count_greater_than=1)) == (1, 0)
    assert (n("raw", count_less_than_or_equal=1), n("unique_email", count_less_than_or_equal=1)) == (0, 1)
    assert (n("raw", count_less_than=3, count_greater_than=0), n("unique_email", count_greater_than=0)) == (1, 1)


def test_people_are_found_by_kits_source(now: datetime) -> None:
    account = make_account()
    came, other, _ = (make_subscriber(account) for _ in range(3))
    welcome = forms.create(account.pk, {"name": "Welcome"}, now)
    page = forms.create(account.pk, {"name": "Page", "type": "hosted"}, now)
    FormSubscription.objects.create(form=welcome, subscriber=came, added_at=now)
    FormSubscription.objects.create(form=page, subscriber=other, added_at=now)
    FormSubscription.objects.create(form=welcome, subscriber=other, added_at=now)

    def found(*parts: Condition) -> tuple[set[int], list[str]]:
        filter = read({"all": [{"type": "attribution", "any": list(parts)}]}, account.pk)
        return set(filter.people(account, now).values_list("pk", flat=True)), filter.warnings

    def source(**members: Any) -> Condition:
        return {"type": "kit_source", **members}

    assert found(source(source_type="form_subscription")) == ({came.pk, other.pk}, [])
    assert found(source(source_names=["Welcome", "x"])) == ({came.pk}, [])
    assert found(source(mechanism="landing_page")) == ({other.pk}, [])
    assert found(source(mechanism="form", mechanism_ids=[page.pk])) == (set(), [])
    nothing = ["Nothing is recorded yet about sources other than forms, so nobody is found by it."]
    assert found(source(source_type="manual")) == found(source(mechanism="import")) == (set(), nothing)
    assert found(source(source_type="manual"), {"type": "forms", "ids": [page.pk]}) == ({other.pk}, nothing)


@pytest.mark.parametrize(
    ("center", "where", "is_near"),
    [
        ((45.0, 10.0), (45.0, 10.0), True),
        ((45.0, 10.0), (45.9, 11.2), True),  # in the corner of the box, and outside of the circle
        ((45.0, 10.0), (46.1, 10.0), False),
        ((45.0, 10.0), (45.0, 11.6), False),
        ((0.0, 179.9), (0.0, -179.9), True),
        ((0.0, -179.9), (0.9, 179.9), True),
        ((89.9, 0.0), (89.5, 180.0), True),
    ],
)
def test_a_radius_is_that_of_a_box(
    center: tuple[float, float], where: tuple[float, float], is_near: bool, now: datetime
) -> None:
    account = make_account()
    place(make_subscriber(account), *where)
    make_subscriber(account)
    near = {"type": "location", "latitude": center[0], "longitude": center[1], "radius": 69}
    assert read({"all": [near]}, account.pk).people(account, now).count() == is_near


def place(person: Subscriber, latitude: float, longitude: float) -> None:
    where = {"city": "A", "state_province": "B", "country_code": "US", "time_zone": "UTC", "pinned_at": NOW}
    Location.objects.create(
        subscriber=person, account_id=person.account_id, latitude=latitude, longitude=longitude, **where
    )


def test_what_does_not_exist_finds_nobody_and_is_named(now: datetime) -> None:
    account, other = make_account(), make_account("Mallory")
    tag = make_tag(account, make_subscriber(account))
    foreign = make_tag(other, make_subscriber(other))

    def tagged(*ids: int) -> kit.Filter:
        return read({"all": [{"type": "tags", "any": [{"type": "ids", "matching": list(ids)}]}]}, account.pk)

    both, alone, nowhere = tagged(tag.pk, foreign.pk), tagged(foreign.pk), tagged(2**62)
    assert both.people(account, now).count() == 1
    assert alone.people(account, now).count() == nowhere.people(account, now).count() == 0
    sentence = f"Nobody is found by the tag {foreign.pk}: there is none with this id."
    assert both.warnings == alone.warnings == [sentence]
    assert nowhere.warnings == [sentence.replace(str(foreign.pk), str(2**62))]


def test_what_is_not_recorded_finds_nobody_and_says_so(now: datetime) -> None:
    account = make_account()
    make_subscriber(account)
    found = read({"all": [{"type": "opens", "count_less_than": 3}, {"type": "clicks"}]}, account.pk)
    assert found.people(account, now).count() == 0
    assert found.warnings == [
        "Nothing is recorded yet about who clicked a link and who opened an email, so nobody is found by it."
    ]


@pytest.mark.parametrize(
    ("filter", "problems"),
    [
        ({}, ["all can't be blank"]),
        ({"all": None}, ["all can't be blank"]),
        ({"all": {}}, ["all must be an array"]),
        ({"all": [3]}, ["all[0] must be an object"]),
        ({"all": [{}]}, ["all[0].type can't be blank"]),
        ({"all": [{"type": "sent"}] * 101}, ["all can't have more than 100 conditions"]),
        (
            {"all": [{"type": "purchases"}]},
            [
                "all[0].type must be one of: opens, clicks, sent, delivered, subscribed, subscriber_state, tags, "
                "attribution, custom_field, location"
            ],
        ),
        ({"all": [], "counting_mode": "all"}, ["counting_mode must be one of: raw, unique_email"]),
        ({"all": [{"type": "tags"}]}, ["all[0].any can't be blank"]),
        ({"all": [{"type": "tags", "any": [{"type": "ids"}]}]}, ["all[0].any[0].matching can't be blank"]),
        (
            {"all": [{"type": "tags", "any": [{"type": "ids", "matching": ["3"]}]}]},
            ["all[0].any[0].matching[0] must be an id"],
        ),
        ({"all": [{"type": "tags", "any": [{"type": "forms"}]}]}, ["all[0].any[0].type must be one of: ids"]),
        (
            {"all": [{"type": "opens", "any": [{"type": "urls", "urls": ["x"]}]}]},
            ["all[0].any[0].type must be one of: broadcasts, emails, sequences"],
        ),
        (
            {"all": [{"type": "sent", "count_greater_than": -1, "after": "yesterday"}]},
            [
                "all[0].count_greater_than must be an integer between 0 and 1000000000",
                "all[0].after must be a date (yyyy-mm-dd)",
            ],
        ),
        ({"all": [{"type": "subscriber_state"}]}, ["all[0].states can't be blank"]),
        ({"all": [{"type": "subscribed"}]}, ["all[0].after or before or within_days must be given"]),
        (
            {"all": [{"type": "attribution", "any": [{"type": "kit_source"}]}]},
            [
                "all[0].any[0].source_type or source_ids, source_names, mechanism or mechanism_ids must be given",
            ],
        ),
        (
            {"all": [{"type": "location", "latitude": 1, "longitude": 2}]},
            ["all[0].radius can't be blank"],
        ),
    ],
)
def test_a_refusal_names_the_member(filter: Condition, problems: list[str]) -> None:
    given = Checked(filter)
    kit.read(given, 0)
    assert [sentence for _, sentence in given.problems] == problems
