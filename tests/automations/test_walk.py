"""Walking: what each kind of node does with people who come to it, and when they go on."""

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.automations import reasons, walk
from dripstone.automations.models import Automation, Step, Walk
from dripstone.calls.models import Call
from dripstone.engine import enroll, follow, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag
from dripstone.triggers import what
from dripstone.triggers.models import OwnerMail
from tests.automations.making import (
    DAY,
    NOW,
    add,
    ask,
    automation,
    due,
    left,
    log,
    publish,
    sequence,
    stands,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
AT_ONCE = {"subject": "welcome", "delay_value": 0}


@pytest.fixture
def person(alice: Account) -> Subscriber:
    return make_subscriber(alice)


@pytest.fixture
def named(alice: Account) -> Callable[[str], Tag]:
    return lambda name: make_tag(alice, name=name)


@pytest.fixture
def city(alice: Account) -> CustomField:
    return fields.create(alice.pk, {"label": "City"}, NOW, cause=causes.OWNER)[0]


def tags_of(person: Subscriber) -> set[str]:
    return set(Tag.objects.filter(taggings__subscriber=person).values_list("name", flat=True))


def write(person: Subscriber, field: CustomField, value: str, now: datetime = NOW) -> None:
    subscribe.update(person.pk, {"fields": {field.key: value}}, now, cause=causes.API)


def path(one: Automation, person: Subscriber) -> list[list[str]]:
    """Of the last step: node, what, why."""
    row = Step.objects.filter(automation_id=one.pk, subscriber_id=person.pk).latest("pk")
    return [[each["node"], each["what"], each["reason"]] for each in row.path]


# --- Acts -----------------------------------------------------------------------------------------------------------


def test_acts_pass_at_once_in_order_and_the_log_says_what_each_did(
    alice: Account, person: Subscriber, named: Any, city: CustomField
) -> None:
    a, b = named("a"), named("b")
    tags.add(b, person, NOW, cause=causes.API)
    call = {"id": "call", "kind": "call", "url": "https://example.com/in", "body": '{"city": "{{ subscriber.city }}"}'}
    one = automation(
        alice,
        tag("a", a, "b"),
        tag("b", b, "city"),
        {"id": "city", "kind": "field", "custom_field_id": city.pk, "value": "Bonn", "next": "call"},
        {**call, "next": "mail"},
        {"id": "mail", "kind": "mail_owner", "text": "{{ subscriber.first_name }} is here", "next": "w"},
        wait("w"),
    )
    add(one, person)
    assert stands(one, person) == "w" and tags_of(person) == {"a", "b"}
    assert path(one, person) == [
        ["a", "acted", ""],
        ["b", "passed", "already_so"],
        ["city", "acted", ""],
        ["call", "acted", ""],
        ["mail", "acted", ""],
        ["w", "waits", ""],
    ]
    assert b"Bonn" in bytes(Call.objects.get().body)
    assert (mail := OwnerMail.objects.get()).text == "Rita is here" and mail.place.startswith(f"automation {one.pk} ")
    assert Event.objects.get(type=types.TAG_ADDED, subject_id=a.pk).cause == ["owner", f"automation {one.pk}"]
    assert log(one, person) == [("entered", "w", "")]


def test_unsubscribing_ends_the_run(alice: Account, person: Subscriber) -> None:
    one = automation(alice, {"id": "u", "kind": "unsubscribe"})
    add(one, person)
    person.refresh_from_db()
    assert person.state == "cancelled" and stands(one, person) is None
    row = Walk.objects.get()
    assert (row.left_because, row.is_completed, row.node) == ("unsubscribed", True, "u")
    work_off()
    assert Step.objects.count() == 1, "their own cancelling makes nothing more of it"


def test_what_is_gone_passes(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    course = make_sequence(alice, AT_ONCE)
    other = automation(alice, wait("w"), name="Other")
    one = automation(
        alice,
        tag("a", a, "s"),
        sequence("s", course.pk, "m"),
        {"id": "m", "kind": "move", "automation_id": other.pk, "way": "in", "next": "e"},
        tagged("e", a, "b"),
        tag("b", b),
    )
    tags.delete(a, NOW, cause=causes.OWNER)
    edits.delete_sequence(alice, course.pk, NOW)
    other.delete()
    add(one, person)
    assert stands(one, person) is None and tags_of(person) == {"b"}
    assert [each[2] for each in path(one, person)] == ["thing_gone"] * 4 + ["", "end"]


# --- Waits ----------------------------------------------------------------------------------------------------------


def test_an_hour_elapses_and_a_day_keeps_the_time_on_the_wall(alice: Account, person: Subscriber) -> None:
    alice.time_zone = "Europe/Berlin"
    alice.save()
    night = datetime.fromisoformat("2027-03-27T07:00:00Z")  # eight in the morning before an hour is skipped
    for span, hours in (({"hours": 24}, 24), ({"days": 1}, 23), ({"weeks": 1}, 7 * 24 - 1), ({"minutes": 90}, 1.5)):
        one = automation(alice, {**wait("w"), "for": span})
        add(one, person, now=night)
        assert due(one, person) == night + timedelta(hours=hours)


def test_an_hour_that_is_skipped_ends_where_the_clock_goes_on(alice: Account, person: Subscriber) -> None:
    alice.time_zone = "Europe/Berlin"
    alice.save()
    one = automation(alice, {**wait("w"), "for": {"days": 1}})
    add(one, person, now=datetime(2027, 3, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    assert due(one, person) == datetime.fromisoformat("2027-03-28T03:00+02:00")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-23T08:59:00+00:00", "2026-11-23T09:00:00+00:00"),
        ("2026-11-23T09:00:00+00:00", "2026-11-26T09:00:00+00:00"),
        ("2026-11-24T10:00:00+00:00", "2026-11-26T09:00:00+00:00"),
        ("2026-11-27T10:00:00+00:00", "2026-11-30T09:00:00+00:00"),
    ],
)
def test_a_weekday_and_hour_is_the_next_one_and_strictly_later(
    alice: Account, person: Subscriber, now: str, expected: str
) -> None:
    one = automation(alice, wait("w", until={"weekdays": ["monday", "thursday"], "hour": 9}))
    add(one, person, now=datetime.fromisoformat(now))
    assert due(one, person) == datetime.fromisoformat(expected)


def test_an_instant_in_the_past_passes_at_once(alice: Account, person: Subscriber, named: Any) -> None:
    one = automation(
        alice,
        wait("past", "now", until={"at": "2026-11-23T08:00:00Z"}),
        wait("now", "later", until={"at": "2026-11-23T09:00:00Z"}),
        wait("later", until={"at": "2026-11-24"}),
    )
    add(one, person)
    assert (stands(one, person), due(one, person)) == ("later", datetime.fromisoformat("2026-11-24T00:00:00Z"))
    assert path(one, person)[:2] == [["past", "passed", "in_the_past"], ["now", "passed", "in_the_past"]]


def test_a_wait_that_is_over_goes_on_at_its_instant_and_not_before(
    alice: Account, person: Subscriber, named: Any
) -> None:
    one = automation(alice, wait("w", "a"), tag("a", named("a")))
    add(one, person)
    assert work_off(NOW + 3 * DAY - timedelta(seconds=1)) == 0 and stands(one, person) == "w"
    assert work_off(NOW + 3 * DAY) == 1
    assert stands(one, person) is None and tags_of(person) == {"a"} and left(one, person) == "end"
    assert path(one, person) == [["w", "over", "wait_over"], ["a", "acted", ""], ["a", "leaves", "end"]]
    assert Event.objects.get(type=types.TAG_ADDED).cause == [f"automation {one.pk}"], "time has passed: a new chain"


def until(field: CustomField, days: int = 0, hour: int = 8) -> dict[str, Any]:
    return {"until": {"custom_field_id": field.pk, "days": days, "hour": hour}}


def test_a_wait_for_the_date_in_a_field_follows_the_field(
    alice: Account, person: Subscriber, city: CustomField, named: Any
) -> None:
    one = automation(
        alice, {**wait("w", "a", **until(city, days=-2)), "otherwise": "b"}, tag("a", named("a")), tag("b", named("b"))
    )
    write(person, city, "2026-12-24")
    add(one, person)
    assert due(one, person) == datetime.fromisoformat("2026-12-22T08:00:00Z")
    write(person, city, "2026-12-20")
    assert work_off() >= 0 and due(one, person) == datetime.fromisoformat("2026-12-18T08:00:00Z")
    write(person, city, "2026-11-01")
    work_off()
    assert stands(one, person) is None and tags_of(person) == {"a"}, "a date that has passed ends the wait"


def test_without_a_readable_date_they_go_by_otherwise_at_once_or_as_soon_as_it_is_gone(
    alice: Account, person: Subscriber, city: CustomField, named: Any
) -> None:
    other = make_subscriber(alice)
    write(other, city, "2026-12-24")
    one = automation(
        alice, {**wait("w", "a", **until(city)), "otherwise": "b"}, tag("a", named("a")), tag("b", named("b"))
    )
    plain = automation(alice, wait("w", **until(city)), name="Plain")
    for each in (one, plain):
        add(each, person, other)
    assert tags_of(person) == {"b"} and path(one, person)[0] == ["w", "passed", "no_date"]
    assert left(plain, person) == "end"
    write(other, city, "soon")
    work_off()
    assert tags_of(other) == {"b"} and path(one, other)[0] == ["w", "over", "no_date"]


def test_another_zone_of_the_account_moves_the_dates_of_fields_and_no_others(
    alice: Account, person: Subscriber, city: CustomField
) -> None:
    one = automation(alice, wait("w", **until(city)))
    plain = automation(alice, wait("w"), name="Plain")
    write(person, city, "2026-12-24")
    for each in (one, plain):
        add(each, person)
    alice.time_zone = "America/New_York"
    alice.save()
    work_off()
    assert due(one, person) == datetime.fromisoformat("2026-12-24T08:00:00-05:00")
    assert due(plain, person) == NOW + 3 * DAY


# --- Forks ----------------------------------------------------------------------------------------------------------


def test_a_condition_asks_on_arrival(alice: Account, person: Subscriber, named: Any) -> None:
    a = make_tag(alice, person)
    other = make_subscriber(alice)
    one = automation(alice, ask("c", a, "yes", "no"), tag("yes", named("yes")), tag("no", named("no")))
    add(one, person, other)
    assert "yes" in tags_of(person) and tags_of(other) == {"no"}
    exits = Step.objects.get(subscriber_id=other.pk).path[0]
    assert (exits["what"], exits["exit"]) == ("went", "no")


def test_a_condition_sees_a_value_that_was_set_in_the_same_step(
    alice: Account, person: Subscriber, named: Any, city: CustomField
) -> None:
    is_bonn = {"type": "custom_field", "subscriber_custom_field_id": city.pk, "comparison": "is", "value": "Bonn"}
    bonn = {"id": "city", "kind": "field", "custom_field_id": city.pk, "value": "Bonn", "next": "c"}
    asked = {"id": "c", "kind": "condition", "if": {"not": {"not": is_bonn}}, "yes": "t", "no": None}
    one = automation(alice, bonn, asked, tag("t", named("a"), "w"), wait("w"))
    add(one, person)
    assert stands(one, person) == "w" and tags_of(person) == {"a"}


def test_a_step_saves_people_once_however_many_fields_it_sets(alice: Account, named: Any) -> None:
    ids = [fields.create(alice.pk, {"label": name}, NOW, cause=causes.OWNER)[0].pk for name in "ABC"]
    nodes = [
        {"id": f"f{n}", "kind": "field", "custom_field_id": pk, "value": f"{n}", "next": f"f{n + 1}"}
        for n, pk in enumerate(ids)
    ]
    one = automation(alice, wait("w", "f0"), *nodes, ask("f3", named("a"), "v", "v"), wait("v"))
    people = [make_subscriber(alice) for _ in range(3)]
    add(one, *people)
    with CaptureQueriesContext(connection) as captured:
        work_off(NOW + 3 * DAY)
    assert sum(each["sql"].strip().startswith("UPDATE subscribers_subscriber") for each in captured) == 1
    assert Subscriber.objects.filter(fields={str(pk): f"{n}" for n, pk in enumerate(ids)}).count() == 3


def test_within_it_waits_until_it_is_met_or_the_time_is_over(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    one = automation(
        alice, ask("c", a, "yes", "no", within={"days": 2}), tag("yes", named("yes")), tag("no", named("no"))
    )
    met, late, never = (make_subscriber(alice) for _ in range(3))
    add(one, met, late, never)
    tags.add(b, met, NOW, cause=causes.API)
    work_off()
    assert {stands(one, each) for each in (met, late, never)} == {"c"}, "another event changes nothing"
    tags.add(a, met, NOW + HOUR, cause=causes.quietly(causes.API))
    work_off(NOW + HOUR)
    assert "yes" in tags_of(met), "what is told to fire no rule counts all the same"
    tags.add(a, late, NOW + 2 * DAY, cause=causes.API)
    work_off(NOW + 2 * DAY)
    assert "yes" in tags_of(late), "true at that instant is yes"
    assert tags_of(never) == {"no"} and path(one, never)[0] == ["c", "over", "within_over"]


def test_a_condition_that_time_alone_fulfils_is_looked_at_every_hour(alice: Account, named: Any) -> None:
    old = make_subscriber(alice, created_at=NOW - 2 * DAY + 90 * timedelta(minutes=1))
    leaf = {"not": {"type": "subscribed", "within_days": 2}}
    node = {"id": "c", "kind": "condition", "if": leaf, "within": {"days": 1}, "yes": None, "no": None}
    one = automation(alice, node)
    add(one, old)
    work_off(NOW + HOUR)
    assert stands(one, old) == "c"
    assert work_off(NOW + 90 * timedelta(minutes=1)) == 0, "not before the next hour"
    work_off(NOW + 2 * HOUR)
    assert stands(one, old) is None and path(one, old)[0] == ["c", "over", "condition_met"]


def test_who_enters_or_leaves_another_automation_is_looked_at(alice: Account, person: Subscriber) -> None:
    other = automation(alice, wait("w"), name="Other")
    leaf = {"type": "automations", "ids": [other.pk], "place": "inside"}
    node = {"id": "c", "kind": "condition", "if": leaf, "within": {"days": 9}, "yes": "d", "no": None}
    gone = {**node, "id": "d", "if": {"not": leaf}, "yes": "w", "no": None}
    one = automation(alice, node, gone, wait("w"))
    add(one, person)
    work_off()
    assert stands(one, person) == "c"
    add(other, person)
    work_off()
    assert stands(one, person) == "d"
    work_off(NOW + 3 * DAY)
    assert stands(other, person) is None and stands(one, person) == "w"


def test_a_split_takes_the_first_branch_that_is_met(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    both, second, none = make_subscriber(alice), make_subscriber(alice), make_subscriber(alice)
    for each, its in ((both, (a, b)), (second, (b,))):
        for one_tag in its:
            tags.add(one_tag, each, NOW, cause=causes.API)
    branches = [{"if": {"type": "tags", "ids": [one_tag.pk]}, "next": f"w{n}"} for n, one_tag in enumerate((a, b))]
    split = {"id": "s", "kind": "split", "branches": branches, "otherwise": "w2"}
    one = automation(alice, split, *(wait(f"w{n}") for n in range(3)))
    add(one, both, second, none)
    assert [stands(one, each) for each in (both, second, none)] == ["w0", "w1", "w2"]


def test_shares_fall_by_the_hash_of_automation_person_run_and_node(alice: Account) -> None:
    shares = (0, 25, 75)
    branches = [{"percent": share, "next": f"w{n}"} for n, share in enumerate(shares)]
    one = automation(alice, {"id": "s", "kind": "split", "branches": branches}, *(wait(f"w{n}") for n in range(3)))
    people = [make_subscriber(alice) for _ in range(200)]
    add(one, *people)

    def expected(person: Subscriber) -> str:
        figure = int.from_bytes(hashlib.sha256(f"{one.pk}:{person.pk}:1:s".encode()).digest()[:8], "big") % 100
        return "w1" if figure < 25 else "w2"

    assert [stands(one, each) for each in people] == [expected(each) for each in people]
    assert 25 < Counter(expected(each) for each in people)["w1"] < 80


# --- Sequences ------------------------------------------------------------------------------------------------------


def test_they_wait_with_the_sequence_until_it_is_completed(alice: Account, person: Subscriber, named: Any) -> None:
    course = make_sequence(alice, AT_ONCE)
    one = automation(alice, sequence("s", course.pk, "a"), tag("a", named("a")))
    add(one, person)
    place = Enrollment.objects.get()
    assert (place.source, place.door, stands(one, person)) == ("automation", f"automation {one.pk}", "s")
    row = Walk.objects.get()
    assert (row.enrollment_id, row.enrollment_run, row.is_ours) == (place.pk, 1, True)
    work_off(NOW + 30 * DAY)
    assert stands(one, person) == "s", "nothing was sent: it is not completed"
    places.skip(place.pk, "owner", "", NOW)
    work_off()
    assert stands(one, person) is None and tags_of(person) == {"a"}
    assert path(one, person)[0] == ["s", "over", "sequence_completed"]
    assert Event.objects.get(type=types.TAG_ADDED).cause[-1] == f"automation {one.pk}"


def test_without_waiting_they_go_on_at_once(alice: Account, person: Subscriber) -> None:
    course = make_sequence(alice, AT_ONCE)
    one = automation(alice, sequence("s", course.pk, "w", wait=False), wait("w"))
    add(one, person)
    assert stands(one, person) == "w" and Enrollment.objects.get().status == "active"


def test_who_is_in_it_already_waits_with_it_and_keeps_a_place_that_is_not_ours(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a = named("a")
    course = make_sequence(alice, AT_ONCE)
    make_enrollment(course, person)
    one = automation(alice, sequence("s", course.pk, "e"), tagged("e", a, "w"), wait("w"))
    add(one, person)
    work_off()
    assert stands(one, person) == "s" and not Walk.objects.get().is_ours
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert stands(one, person) == "w" and Enrollment.objects.get().status == "active", "A5: not this run's place"


def test_who_has_completed_it_passes_and_repeat_starts_again(alice: Account, person: Subscriber) -> None:
    course = make_sequence(alice, AT_ONCE)
    place = make_enrollment(course, person)
    places.skip(place.pk, "owner", "", NOW)
    one = automation(alice, sequence("s", course.pk))
    add(one, person)
    assert path(one, person)[0] == ["s", "passed", "completed_before"] and left(one, person) == "end"
    course.repeat = True
    course.save()
    add(one, person)
    assert stands(one, person) == "s" and Walk.objects.get(left_at=None).enrollment_run == 2
    work_off()
    assert stands(one, person) == "s", "what ended before they came is not what they wait for"


def test_who_waits_while_somebody_else_starts_it_again_waits_for_the_new_run(
    alice: Account, person: Subscriber
) -> None:
    course = make_sequence(alice, AT_ONCE, repeat=True)
    one = automation(alice, sequence("s", course.pk))
    add(one, person)
    enroll.add(course, [person.pk], "rule", NOW)
    work_off()
    row = Walk.objects.get()
    assert (stands(one, person), row.enrollment_run, row.is_ours) == ("s", 2, False)


@pytest.mark.parametrize("how", ["by hand", "deleted"])
def test_who_is_taken_out_of_the_sequence_goes_on(alice: Account, person: Subscriber, how: str) -> None:
    course = make_sequence(alice, AT_ONCE)
    one = automation(alice, sequence("s", course.pk, "w"), wait("w"))
    add(one, person)
    if how == "by hand":
        places.remove(Enrollment.objects.get().pk, "owner", "", NOW)
    else:
        edits.delete_sequence(alice, course.pk, NOW)
        follow.everybody(course.pk, NOW)
    work_off()
    reason = {"by hand": "sequence_left", "deleted": "sequence_gone"}[how]
    assert stands(one, person) == "w" and path(one, person)[0] == ["s", "over", reason]


def test_where_it_holds_they_go_on_after_the_last_email_and_keep_the_place(alice: Account, person: Subscriber) -> None:
    course = make_sequence(alice, AT_ONCE, hold=True)
    one = automation(alice, {"id": "s", "kind": "sequence", "sequence_id": course.pk, "next": "w"}, wait("w"))
    strict = automation(alice, sequence("s", course.pk, "w"), wait("w"), name="Strict")
    for each in (one, strict):
        add(each, person)
    places.skip(Enrollment.objects.get().pk, "owner", "", NOW)
    work_off()
    assert (stands(one, person), stands(strict, person)) == ("w", "s")
    assert Enrollment.objects.get().status == "active"
    late = automation(alice, {"id": "s", "kind": "sequence", "sequence_id": course.pk, "next": "w"}, wait("w"))
    add(late, person)
    assert path(late, person)[0] == ["s", "passed", "sequence_end_reached"], "who is at its end already passes"


# --- Events ---------------------------------------------------------------------------------------------------------


def test_who_walks_up_to_an_event_waits_for_it(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, tagged("e", a, "w"), wait("w"))
    add(one, person)
    work_off(NOW + 300 * DAY)
    assert stands(one, person) == "e"
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert stands(one, person) == "w" and path(one, person)[0] == ["e", "over", "happened"]


def test_what_it_leaves_behind_counts_already_unless_told_otherwise(alice: Account, named: Any) -> None:
    a = named("a")
    person = make_subscriber(alice)
    tags.add(a, person, NOW, cause=causes.API)
    usual = automation(alice, tagged("e", a, "w"), wait("w"))
    strict = automation(alice, tagged("e", a, "w", already=False), wait("w"), name="Strict")
    for each in (usual, strict):
        add(each, person)
    work_off()
    assert (stands(usual, person), stands(strict, person)) == ("w", "e")
    assert path(usual, person)[0] == ["e", "passed", "met_already"]


def test_within_over_they_go_by_otherwise(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, tagged("e", a, "w", within={"days": 1}, otherwise="o"), wait("w"), wait("o"))
    add(one, person)
    work_off(NOW + DAY)
    assert stands(one, person) == "o" and path(one, person)[0] == ["e", "over", "within_over"]


def test_a_date_on_a_node_pulls_everybody_before_it_and_a_past_one_nobody(
    alice: Account, person: Subscriber, named: Any
) -> None:
    def dated(at: str, **members: Any) -> dict[str, Any]:
        return {"id": "e", "kind": "event", "trigger": "date", "at": at, "next": "w2", **members}

    launch = automation(alice, wait("w"), tag("x", named("x"), "e"), dated("2026-11-24T12:00"), wait("w2"))
    assert Walk.objects.count() == 0
    one = automation(
        alice, wait("w", "m"), wait("m", "e"), dated("2026-11-24T12:00"), wait("w2", "v"), wait("v"), name="Two"
    )
    past = automation(alice, wait("w", "e"), dated("2026-11-01", already=False), wait("w2"), name="Past")
    first, waiting, unconfirmed = person, make_subscriber(alice), make_subscriber(alice, state="inactive")
    for each in (one, past, launch):
        add(each, first, unconfirmed)
    noon = NOW + timedelta(hours=27)
    add(one, waiting, now=noon - timedelta(minutes=1))
    work_off(noon)
    assert stands(one, first) == stands(one, waiting) == "w2" and stands(one, unconfirmed) == "e"
    assert log(one, first)[-1] == ("pulled", "w2", "happened")
    assert stands(past, first) == "w" and stands(launch, first) == "w", "nothing leads from there to the date"
    add(one, make_subscriber(alice), now=noon)
    work_off(noon)
    assert Walk.objects.filter(automation=one, node="w").count() == 1, "who comes later walks up to it"
    transitions.confirm(unconfirmed.pk, noon, cause=causes.SUBSCRIBER)
    work_off(noon)
    assert stands(one, unconfirmed) == "w2"


def test_who_waits_for_what_was_deleted_goes_on(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, tagged("e", a, "w", within={"days": 1}, otherwise=None), wait("w"))
    add(one, person)
    tags.delete(a, NOW, cause=causes.OWNER)
    work_off(NOW + DAY)
    assert stands(one, person) == "w" and path(one, person)[0] == ["e", "over", "thing_gone"]


# --- Moves ----------------------------------------------------------------------------------------------------------


def move(key: str, to: Automation, way: str = "in", next: str | None = None, **members: Any) -> dict[str, Any]:
    return {"id": key, "kind": "move", "automation_id": to.pk, "way": way, "next": next, **members}


def test_a_move_lets_them_in_elsewhere_after_the_step(alice: Account, person: Subscriber) -> None:
    other = automation(alice, wait("w"), name="Other")
    one = automation(alice, move("m", other, next="w"), wait("w"))
    add(one, person)
    assert stands(one, person) == "w" and stands(other, person) is None
    work_off()
    assert stands(other, person) == "w" and Walk.objects.get(automation=other).cause == [
        "owner",
        f"automation {one.pk}",
    ]


def test_and_leave_leaves_only_if_the_other_one_admits_them(alice: Account, person: Subscriber) -> None:
    other = automation(alice, wait("w"), name="Other", status="paused")
    closed = automation(alice, wait("w"), name="Closed", status="inactive")
    one = automation(alice, move("m", other, and_leave=True, next="w"), wait("w"), name="One")
    two = automation(alice, move("m", closed, and_leave=True, next="w"), wait("w"), name="Two")
    for each in (one, two):
        add(each, person)
        assert stands(each, person) == "m", "until the other one has answered"
    work_off()
    assert stands(one, person) is None and left(one, person) == "moved_on" and stands(other, person) == ""
    assert stands(two, person) == "w" and path(two, person)[0] == ["m", "over", "not_let_in"]
    assert log(closed, person) == [("not_entered", "", "not_running")]
    assert not Walk.objects.get(automation=one).is_completed


def test_a_move_out_takes_them_out_with_the_place_that_it_made(alice: Account, person: Subscriber) -> None:
    course = make_sequence(alice, AT_ONCE)
    other = automation(alice, sequence("s", course.pk), name="Other")
    add(other, person)
    one = automation(alice, move("m", other, "out", "w"), wait("w"))
    add(one, person)
    work_off()
    assert left(other, person) == "by_move" and stands(one, person) == "w"
    place = Enrollment.objects.get()
    assert (place.status, place.removed_reason) == ("removed", "removed_by_automation")


# --- The step -------------------------------------------------------------------------------------------------------


def test_branches_join_again_and_a_node_acts_once(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    with_a, without = make_subscriber(alice), make_subscriber(alice)
    tags.add(a, with_a, NOW, cause=causes.API)
    one = automation(alice, ask("c", a, "j", "x"), tag("x", named("x"), "j"), tag("j", b, "w"), wait("w"))
    add(one, with_a, without)
    assert stands(one, with_a) == stands(one, without) == "w" and "b" in tags_of(with_a) & tags_of(without)


def test_what_is_met_again_after_an_edit_is_passed(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    one = automation(alice, tag("a", a, "w"), wait("w"))
    add(one, person)
    tags.remove(a, person, NOW, cause=causes.API)
    publish(one, wait("w", "a"), tag("a", a, "b"), tag("b", b))
    work_off(NOW + 3 * DAY)
    assert tags_of(person) == {"b"}
    assert path(one, person)[1] == ["a", "passed", "acted_before"]


def test_after_a_hundred_nodes_they_rest_for_a_second(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    chain = [tag(f"n{n}", a, f"n{n + 1}" if n < 149 else None) for n in range(150)]
    one = automation(alice, *chain)
    add(one, person)
    assert stands(one, person) == "n100" and path(one, person)[-1] == ["n100", "put_off", ""]
    assert work_off() == 0
    assert work_off(NOW + timedelta(seconds=1)) == 1
    assert stands(one, person) is None and len(path(one, person)) == 51


def test_the_number_of_statements_does_not_grow_with_people(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    course = make_sequence(alice, AT_ONCE)
    one = automation(alice, wait("w", "t"), tag("t", a, "c"), ask("c", b, None, "s"), sequence("s", course.pk))

    def n_queries(n: int, day: int) -> int:
        add(one, *(make_subscriber(alice) for _ in range(n)), now=NOW + day * DAY)
        with CaptureQueriesContext(connection) as captured:
            work_off(NOW + (day + 3) * DAY)
        assert Walk.objects.filter(node="s").count() == n + n_before
        return len(captured)

    n_before = 0
    few = n_queries(3, 0)
    n_before = 3
    assert n_queries(40, 10) <= few + 2


def test_nobody_of_another_account_takes_part(alice: Account) -> None:
    stranger = make_subscriber(make_account("Mallory"))
    one = automation(alice, wait("w"))
    held = walk.hold([one.pk], [stranger.pk])
    assert walk.admit(held, one.pk, [stranger.pk], NOW, cause=causes.OWNER) == {}
    assert not Walk.objects.exists() and not Step.objects.exists()


def test_a_mistake_of_ours_stops_one_and_not_the_others(
    alice: Account, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = named("a")
    one = automation(alice, wait("w", "t"), tag("t", a, "v"), wait("v"))
    people = [make_subscriber(alice) for _ in range(3)]
    add(one, *people)
    act = what.perform

    def stumbles(action: Any, held: Any, people_: Any, *rest: Any, **more: Any) -> Any:
        if people[1].pk in people_:
            raise RuntimeError("a mistake")
        return act(action, held, people_, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(what, "perform", stumbles)
        work_off(NOW + 3 * DAY)
    assert [stands(one, each) for each in people] == ["v", "w", "v"]
    assert log(one, people[1])[-1] == ("walked", "w", reasons.OUR_MISTAKE)
    work_off(NOW + 3 * DAY + HOUR)
    assert stands(one, people[1]) == "v"
    one.refresh_from_db()
    assert (one.n_entered, one.n_left, one.n_not_entered) == (3, 0, 0)
