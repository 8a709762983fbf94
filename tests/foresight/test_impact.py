"""The impact of an edit is told before it is made, and is what then happens, person by person."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import claim, follow, plan, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.explain import impact_words
from dripstone.foresight import impact
from dripstone.senders.base import Answer
from dripstone.sequences import verbs
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail
from dripstone.sequences.verbs import Edit
from dripstone.shapes import impact as shapes
from dripstone.subscribers.models import State, Tag
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}
Verb = Callable[..., Edit]


@dataclass(frozen=True)
class Proposed:
    """A verb by its name, which edit.py has for the proposal and edits.py for the act."""

    name: str
    arguments: tuple[Any, ...] = ()

    def of(self, module: Any, sequence: Sequence, now: datetime) -> Callable[[], Edit]:
        account = Account.objects.get(pk=sequence.account_id)
        return partial(getattr(module, self.name), account, sequence.pk, *self.arguments, now)


def everything() -> dict[str, list[Any]]:
    """Every row of every table an edit can touch."""
    tables = ["sequences_sequence", "sequences_sequenceemail", "sequences_sequenceedit", "engine_enrollment"]
    tables += ["engine_delivery", "engine_note", "events_event", "procrastinate_jobs"]
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = cursor.fetchall()
        return found


def told(sequence: Sequence, now: datetime, name: str, *arguments: Any) -> impact.Impact:
    before = everything()
    account = Account.objects.get(pk=sequence.account_id)
    answer = impact.of(account, sequence.pk, Proposed(name, arguments).of(verbs, sequence, now), now)
    assert everything() == before
    return answer


def course(alice: Account, engine: Engine, **values: Any) -> Sequence:
    """welcome, Day 1, a draft, Day 3; two people who have had Day 1, one who has had only the welcome."""
    sequence = make_sequence(
        alice,
        WELCOME,
        {"subject": "Day 1"},
        {"subject": "Day 2", "published": False},
        {"subject": "Day 3", "delay_value": 2},
        **values,
    )
    for _ in range(2):
        make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=1, hours=2))
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    engine.run()
    return sequence


def email_of(sequence: Sequence, subject: str) -> SequenceEmail:
    return sequence.emails.get(subject=subject)


# Some answers, word by word


def test_it_says_who_gets_a_published_email(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    now = engine.clock.advance(days=1)
    answer = told(sequence, now, "update_email", email_of(sequence, "Day 2").pk, {"published": True})
    assert answer.right_away == {email_of(sequence, "Day 2").pk: 2}
    shape = shapes.impact(answer, "t")
    assert shape["summary"] == "2 people get “Day 2” right away; 1 person keeps their date."
    assert shape["moved"] == {
        "people": 2,
        "before": [{"date": "2026-11-26", "people": 2}],
        "after": [{"date": "2026-11-25", "people": 2}],
    }
    assert shape["examples"][0]["why"] == "They waited for “Day 3”; now “Day 2” comes before it, right away."
    assert shape["unchanged"] == 1


def test_a_retry_that_a_pause_held_is_told_when_it_goes(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "Day 1"})
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", reason="later")
    engine.run_until(engine.clock.now() + timedelta(days=1))
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    now = engine.clock.advance(hours=5)
    answer = told(sequence, now, "update_sequence", {"active": True})
    assert (answer.moved, impact_words.summary(answer)) == (1, "1 person gets another next email or date.")
    assert impact_words.why(answer, answer.examples[0]) == (
        "“Day 1” waited for the sequence to be resumed; now it goes on 2026-11-25 at 09:00 (UTC)."
    )


def test_it_says_who_will_pass_over_the_draft_they_waited_for(alice: Account, engine: Engine) -> None:
    """R7, R1: one is sent aside by what is published before it, and nothing leads back to a draft."""
    sequence = make_sequence(alice, {"subject": "A", "published": False}, {"subject": "B", "delay_value": 3})
    place = make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    edits.update_email(alice, sequence.pk, email_of(sequence, "B").pk, {"published": False}, engine.clock.now())
    engine.run()
    now = engine.clock.advance(days=2)
    answer = told(sequence, now, "update_email", email_of(sequence, "A").pk, {"published": True})
    assert impact_words.summary(answer) == (
        "1 person gets “A” right away; 1 person no longer waits for “B”, which is not published."
    )
    assert impact_words.why(answer, answer.examples[0]) == (
        "They waited for “B”; now “A” comes before it, right away. “B” is not published, and is passed over after that."
    )
    edits.update_email(alice, sequence.pk, email_of(sequence, "A").pk, {"published": True}, now)
    engine.run()
    place.refresh_from_db()
    assert place.status == "completed"


def test_somebody_who_has_yet_to_confirm_keeps_no_date(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    make_enrollment(sequence, make_subscriber(alice, state="inactive"), engine.clock.now())
    answer = told(sequence, engine.clock.now(), "update_email", email_of(sequence, "Day 3").pk, {"preview_text": "new"})
    assert impact_words.summary(answer) == (
        "1 person has yet to confirm, and nothing changes for them; 3 people keep their dates."
    )


def test_an_email_made_and_met_since_the_emails_were_read_confuses_nobody(alice: Account, engine: Engine) -> None:
    """People are read again for examples, in a statement of its own."""
    sequence = course(alice, engine)
    now = engine.clock.advance(hours=1)
    has_been_read = False

    def edit_before_the_examples(execute: Any, sql: str, *more: Any) -> Any:
        nonlocal has_been_read
        if "engine_enrollment e" in sql and "CROSS JOIN LATERAL" in sql:
            if has_been_read:
                new = {"subject": "New", "delay_value": 1, "delay_unit": "hours", "position": 1, "published": True}
                edits.create_email(alice, sequence.pk, new, now)
                follow.everybody(sequence.pk, now)
            has_been_read = not has_been_read
        return execute(sql, *more)

    proposal = Proposed("update_email", (email_of(sequence, "Day 2").pk, {"published": True})).of(verbs, sequence, now)
    with connection.execute_wrapper(edit_before_the_examples):
        answer = impact.of(alice, sequence.pk, proposal, now)
    assert sequence.emails.filter(subject="New").exists()
    assert shapes.impact(answer, "t")["people"] == 3


def test_it_says_who_is_excluded(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    tag = make_tag(alice, Enrollment.objects.filter(sequence=sequence).earliest("pk").subscriber)
    Sequence.objects.update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    now = engine.clock.advance(days=1)
    shape = shapes.impact(told(sequence, now, "update_email", email_of(sequence, "Day 2").pk, {"published": True}), "t")
    why = f"they have the tag “{tag.name}”, which this sequence excludes"
    assert f"1 person skips “Day 2” ({why})" in shape["summary"]
    assert [(row["reason"], row["people"]) for row in shape["skipped"]] == [(f"excluded:tag:{tag.pk}", 1)]
    assert shape["right_away"][0]["people"] == 1


def test_it_says_who_will_skip_an_email_and_who_no_longer_will(alice: Account, engine: Engine) -> None:
    """R21: of all who have it still to come, also from far behind; nobody moves."""
    sequence = course(alice, engine)
    sequence.emails.filter(subject="Day 1").update(filter=None)
    first, second, _ = Enrollment.objects.filter(sequence=sequence).order_by("pk")
    customer = make_tag(alice, first.subscriber, name="Customer")
    now, day1, day3 = engine.clock.now(), email_of(sequence, "Day 1"), email_of(sequence, "Day 3")
    to_customers = {"filter": {"type": "tags", "ids": [customer.pk]}}
    answer = told(sequence, now, "filter_email", day3.pk, to_customers)
    assert (answer.kept_from, answer.let_through, answer.unchanged, answer.moved) == (2, 0, 1, 0)
    assert impact_words.summary(answer) == (
        "2 people skip “Day 3” when its turn comes (it goes only to people who have the tag “Customer”); 1 person "
        "keeps their date; nobody's dates change, and everybody is looked at again when its turn comes."
    )
    assert {impact_words.why(answer, one) for one in answer.examples} == {
        "“Day 3” goes only to people who have the tag “Customer”, and they are not among them: they skip it when its "
        "turn comes."
    }
    edits.filter_email(alice, sequence.pk, day3.pk, to_customers, now)
    assert told(sequence, now, "filter_email", day1.pk, to_customers).kept_from == 1  # the others have had it
    places.pause(second.pk, "Alice", "", now)
    answer = told(sequence, now, "filter_email", day3.pk, {"filter": None})
    assert (answer.kept_from, answer.let_through) == (0, 2)
    assert impact_words.summary(answer).startswith("2 people get “Day 3”, and would have skipped it; 1 person keeps ")
    assert shapes.impact(answer, "t")["examples"][0]["why"] == (
        "“Day 3” went only to some people, and they were not among them; now it goes to everybody."
    )


def test_the_filter_of_a_draft_concerns_nobody_yet(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    condition = {"filter": {"type": "tags", "ids": [make_tag(alice).pk]}}
    draft = email_of(sequence, "Day 2")
    assert told(sequence, engine.clock.now(), "filter_email", draft.pk, condition).affected == 0
    edits.filter_email(alice, sequence.pk, draft.pk, condition, engine.clock.now())
    shape = shapes.impact(
        told(sequence, engine.clock.advance(days=1), "update_email", draft.pk, {"published": True}), ""
    )
    assert shape["right_away"] == []
    assert [(row["reason"], row["people"]) for row in shape["skipped"]] == [("filtered", 2)]
    assert shape["skipped"][0]["reason_text"].startswith("It goes only to people who have the tag ")


def test_a_new_email_has_no_id_yet(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    values = {"subject": "New", "delay_value": 1, "delay_unit": "hours", "position": 1, "published": True}
    shape = shapes.impact(told(sequence, engine.clock.now(), "create_email", values), "t")
    assert shape["right_away"] == [{"email_id": None, "subject": "New", "people": 2}]
    assert {example["after"]["email_id"] for example in shape["examples"]} == {None}


def test_a_deleted_email_is_skipped_when_it_would_have_gone(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    day3 = email_of(sequence, "Day 3")
    answer = told(sequence, engine.clock.now(), "delete_email", day3.pk)
    assert answer.skipped == {(day3.pk, "email_deleted"): 2}
    summary = impact_words.summary(answer)
    assert summary == "2 people skip “Day 3” (the email was deleted); 1 person keeps their date."


def test_unpublishing_leaves_people_waiting(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    values = {"published": False}
    answer = told(sequence, engine.clock.now(), "update_email", email_of(sequence, "Day 3").pk, values)
    assert impact_words.summary(answer) == "2 people wait without a date; 1 person keeps their date."
    why = {impact_words.why(answer, person) for person in answer.examples}
    assert why == {"They wait for “Day 3”, which is not published: without a date until it is."}


def test_a_deleted_sequence_lets_everybody_go(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    answer = told(sequence, engine.clock.now(), "delete_sequence")
    assert impact_words.summary(answer) == "3 people leave the sequence and get nothing more of it."


def test_pausing_keeps_places_and_resuming_moves_dates(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    now = engine.clock.now()
    paused = told(sequence, now, "update_sequence", {"active": False})
    assert (
        impact_words.summary(paused) == "3 people keep their place, and nothing is sent until the sequence is resumed."
    )
    edits.update_sequence(alice, sequence.pk, {"active": False}, now)
    engine.run_until(now + timedelta(days=10))
    resumed = told(sequence, engine.clock.now(), "update_sequence", {"active": True})
    assert (resumed.moved, resumed.right_away) == (3, {})
    assert impact_words.summary(resumed) == "3 people get another next email or date."


def test_a_delay_moves_no_date_but_rescheduling_does(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    now, day3 = engine.clock.now(), email_of(sequence, "Day 3")
    longer = told(sequence, now, "update_email", day3.pk, {"delay_value": 9})
    assert impact_words.summary(longer) == (
        "3 people keep their dates; delay changed from 2 days to 9 days: for dates given from now on (rescheduling "
        "gives those who wait a new one)."
    )
    edits.update_email(alice, sequence.pk, day3.pk, {"delay_value": 9}, now)
    assert told(sequence, now, "reschedule").moved == 2


def test_hold_off_completes_those_at_the_end(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine, hold=True)
    engine.run_until(engine.clock.now() + timedelta(days=10))
    answer = told(sequence, engine.clock.now(), "update_sequence", {"hold": False})
    assert impact_words.summary(answer) == "3 people complete the sequence."


def test_nobody_inside_is_said(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    answer = told(sequence, engine.clock.now(), "delete_sequence")
    assert impact_words.summary(answer) == "Nobody is in this sequence, so nobody is affected."


def test_it_refuses_what_the_act_refuses(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    with pytest.raises(Invalid, match="subject can't be blank"):
        told(sequence, engine.clock.now(), "create_email", {})
    with pytest.raises(NotFound):
        told(sequence, engine.clock.now(), "delete_email", 0)
    mallory = make_account("Mallory")
    proposal = partial(verbs.delete_sequence, mallory, sequence.pk, engine.clock.now())
    with pytest.raises(NotFound):
        impact.of(mallory, sequence.pk, proposal, engine.clock.now())


def test_the_world_changes_with_anybodys_place(alice: Account, engine: Engine) -> None:
    sequence = course(alice, engine)
    first = impact.world(sequence.pk)
    assert impact.world(sequence.pk) == first
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    second = impact.world(sequence.pk)
    engine.run()
    third = impact.world(sequence.pk)
    edits.update_email(alice, sequence.pk, email_of(sequence, "Day 3").pk, {"subject": "x"}, engine.clock.now())
    assert len({first, second, third, impact.world(sequence.pk)}) == 4


# Any sequence, anybody, any edit

DELAYS = st.integers(1, 4)
UNITS = st.sampled_from(["days", "days", "hours"])
EMAIL = st.fixed_dictionaries(
    {"delay_value": DELAYS, "delay_unit": UNITS, "published": st.sampled_from([True, True, True, False])}
)
ENDS = ["", "", "", "pause", "remove", "unconfirmed", "unsubscribe", "tag", "mark", "mark", "skip"]
HOURS = st.builds(lambda hours, minutes: hours + minutes / 60, st.integers(0, 80), st.integers(0, 20))
PERSON = st.tuples(HOURS | HOURS.map(lambda hours: hours % 1), st.sampled_from(ENDS))  # enters when; what becomes
POSITION = st.integers(0, 5)
NEW = st.fixed_dictionaries(
    {
        "subject": st.just("New"),
        "delay_value": DELAYS,
        "delay_unit": UNITS,
        "published": st.sampled_from([True, True, False]),
        "position": POSITION,
    }
)
FILTERS = ["tag", "not tag", "nothing"]
OF_ONE_EMAIL = ["delete_email", "hold_email", "release_email", "skip_wait"]
PROPOSALS = st.one_of(  # (verb, index of the email, values); "toggle" names what becomes its opposite
    st.tuples(st.just("update_email"), POSITION, st.just({"toggle": "published"})),
    st.tuples(st.just("update_email"), POSITION, st.builds(dict, position=POSITION)),
    st.tuples(st.just("update_email"), POSITION, st.builds(dict, position=POSITION, toggle=st.just("published"))),
    st.tuples(st.just("update_email"), POSITION, st.builds(dict, delay_value=DELAYS)),
    st.tuples(st.just("create_email"), POSITION, NEW),
    st.tuples(st.sampled_from(OF_ONE_EMAIL), POSITION, st.just({})),
    st.tuples(st.just("update_sequence"), POSITION, st.just({"toggle": "active"})),
    st.tuples(st.just("update_sequence"), POSITION, st.just({"toggle": "hold"})),
    st.tuples(st.just("update_sequence"), POSITION, st.builds(dict, send_hour=st.integers(0, 23))),
    st.tuples(st.just("reschedule"), POSITION, st.just({})),
    st.tuples(st.just("filter_email"), POSITION, st.builds(dict, filter=st.sampled_from(FILTERS))),
    st.tuples(st.just("delete_sequence"), POSITION, st.just({})),
)


def resolve(sequence: Sequence, drawn: tuple[str, int, dict[str, Any]]) -> Proposed | None:
    name, index, values = drawn
    emails = list(sequence.emails.filter(deleted_at=None).order_by("pk"))
    if not emails and name in ("update_email", "filter_email", *OF_ONE_EMAIL):
        return None
    email = emails[index % len(emails)] if emails else SequenceEmail()
    row: Any = email if name == "update_email" else Sequence.objects.get(pk=sequence.pk)
    toggled = {values["toggle"]: not getattr(row, values["toggle"])} if "toggle" in values else {}
    values = {key: value for key, value in values.items() if key != "toggle"} | toggled
    match name:
        case "delete_sequence" | "reschedule":
            return Proposed(name)
        case "update_sequence" | "create_email":
            return Proposed(name, (values,))
        case "filter_email":
            return Proposed(name, (email.pk, {"filter": condition(sequence, values["filter"])}))
    return Proposed(name, (email.pk,) if name in OF_ONE_EMAIL else (email.pk, values))


def condition(sequence: Sequence, which: str) -> dict[str, Any] | None:
    """With the tag that `people` gives to some of them."""
    tag = Tag.objects.filter(account=sequence.account_id).earliest("pk")
    leaf: dict[str, Any] = {"type": "tags", "ids": [tag.pk]}
    return {"tag": leaf, "not tag": {"not": leaf}}.get(which)


def people(alice: Account, sequence: Sequence, engine: Engine, drawn: list[tuple[float, str]]) -> None:
    """They come in one after the other, and the engine runs meanwhile. One tag is for filters, another excludes."""
    start = engine.clock.now()
    mark, tag = make_tag(alice), make_tag(alice)
    Sequence.objects.filter(pk=sequence.pk).update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    for hours, end in sorted(drawn):
        engine.run_until(start + timedelta(hours=hours))
        now = engine.clock.now()
        reader = make_subscriber(alice, state=State.INACTIVE if end == "unconfirmed" else State.ACTIVE)
        place = make_enrollment(sequence, reader, now)
        if end == "remove":
            transitions.remove([place.pk], "left", now)
        elif end == "unsubscribe":
            transitions.cancel(reader.pk, now)
        elif end == "pause":
            places.pause(place.pk, "owner", "", now)
        elif end == "mark":
            mark.taggings.create(subscriber=reader, tagged_at=now)
        elif end == "tag":
            tag.taggings.create(subscriber=reader, tagged_at=now)
        elif end == "skip" and Enrollment.objects.get(pk=place.pk).next_email_id:
            places.skip(place.pk, "owner", "", now)


def stands(sequence: Sequence) -> dict[int, tuple[Any, ...]]:
    rows = Enrollment.objects.filter(sequence=sequence)
    planned = dict(
        Delivery.objects.filter(sequence=sequence, status="planned").values_list("enrollment_id", "ready_at")
    )
    result = {}
    for row in rows:
        at = planned.get(row.pk) if row.in_flight else row.held_due_at if row.paused_at else row.due_at
        result[row.pk] = (row.status, row.next_email_id, None if at == Delivery.PARKED else at, row.in_flight)
    return result


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_told_is_what_happens_person_by_person(engine: Engine, data: st.DataObject) -> None:
    with transaction.atomic():
        engine.clock.set(datetime.fromisoformat("2026-11-23T09:00:00+00:00"))
        told_and_done(engine, data)
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("setting", "in_flight"),
    [
        ("plain", "sending"),
        ("paused", "planned"),
        ("unpublished", "sending"),
        ("held", "planned"),
        ("released", "nothing"),
        ("filtered and rescheduled", "nothing"),
    ],
)
def test_every_edit_of_a_full_house(alice: Account, engine: Engine, setting: str, in_flight: str) -> None:
    """People in every place at once, and every edit tried on them, one after the other."""
    sequence = full_house(alice, engine)
    now = engine.clock.now()
    if setting == "paused":
        edits.update_sequence(alice, sequence.pk, {"active": False}, now)
    elif setting == "unpublished":
        edits.update_email(alice, sequence.pk, email_of(sequence, "Email 4").pk, {"published": False}, now)
    elif setting in ("held", "released"):
        edits.hold_email(alice, sequence.pk, email_of(sequence, "Email 4").pk, now)
    if setting in ("paused", "unpublished", "held", "released"):
        follow.everybody(sequence.pk, now)
    elif setting == "filtered and rescheduled":
        for subject, which in (("Email 2", "tag"), ("Email 4", "not tag"), ("Email 1", "not tag")):
            given = {"filter": condition(sequence, which)}
            edits.filter_email(alice, sequence.pk, email_of(sequence, subject).pk, given, now)
        edits.reschedule(alice, sequence.pk, now)  # nobody has followed it yet
    fly(in_flight, engine.clock.advance(hours=50))
    if setting == "released":
        edits.release_email(alice, sequence.pk, email_of(sequence, "Email 4").pk, engine.clock.now())
    seen: set[str] = set()
    for proposed in everything_one_can_propose(sequence):
        with transaction.atomic():
            seen |= compare(alice, sequence, proposed, engine.clock.now())
            transaction.set_rollback(True)
    missing = {"right_away", "dated", "waiting", "paused", "skipped", "removed", "unconfirmed"} - seen
    assert not missing, seen


def full_house(alice: Account, engine: Engine) -> Sequence:
    emails: list[dict[str, Any]] = [
        {"subject": "Email 0", "delay_value": 1, "delay_unit": "hours"},
        {"subject": "Email 1", "published": False},
        {"subject": "Email 2"},
        {"subject": "Email 3", "delay_unit": "hours", "delay_value": 30},
        {"subject": "Email 4", "delay_value": 2},
        {"subject": "Email 5", "delay_value": 1, "delay_unit": "hours", "published": False},
        {"subject": "Email 6", "delay_value": 3, "published": True},
    ]
    sequence = make_sequence(alice, *emails, hold=True)
    everyone: list[tuple[float, str]] = []
    everyone += [(hours, end) for hours in range(0, 300, 90) for end in ("", "tag", "mark", "pause", "skip")]
    everyone += [(hours + minutes / 60, "") for hours in (0, 180) for minutes in (1, 8, 14)]
    people(alice, sequence, engine, [*everyone, (3, "remove"), (40, "unsubscribe"), (41, "unconfirmed")])
    return sequence


def everything_one_can_propose(sequence: Sequence) -> Iterator[Proposed]:
    yield Proposed("reschedule")
    yield Proposed("delete_sequence")
    for name in ("active", "hold"):
        yield Proposed("update_sequence", ({name: not getattr(Sequence.objects.get(pk=sequence.pk), name)},))
    for email in sequence.emails.filter(deleted_at=None):
        for name in OF_ONE_EMAIL:
            yield Proposed(name, (email.pk,))
        for which in FILTERS:
            yield Proposed("filter_email", (email.pk, {"filter": condition(sequence, which)}))
        yield Proposed("update_email", (email.pk, {"published": not email.published}))
        yield Proposed("update_email", (email.pk, {"position": 0}))
        yield Proposed("update_email", (email.pk, {"position": 4, "published": True}))
    for position in (0, 3, 9):
        for unit in ("hours", "days"):
            new = {"subject": "New", "delay_value": 1, "delay_unit": unit, "published": True, "position": position}
            yield Proposed("create_email", (new,))
    yield Proposed("create_email", ({"subject": "New", "delay_value": 1, "delay_unit": "days", "position": 2},))


def fly(how: str, now: datetime) -> None:
    """Mail under way: planned, and perhaps one of it on the wire."""
    if how != "nothing":
        plan.everything_due(now)
    if how == "sending":
        claim.take("somebody", now, limit=1)


def told_and_done(engine: Engine, data: st.DataObject) -> None:
    alice = make_account("Alice", time_zone=data.draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])))
    emails = data.draw(st.lists(EMAIL, min_size=3, max_size=5), label="emails")
    sequence = make_sequence(alice, *emails, hold=data.draw(st.booleans()))
    people(alice, sequence, engine, data.draw(st.lists(PERSON, min_size=2, max_size=8), label="people"))
    for drawn in data.draw(st.lists(PROPOSALS, max_size=2), label="edits before"):
        engine.run_until(engine.clock.now() + timedelta(hours=7))
        edit_before = resolve(sequence, drawn)
        if edit_before and edit_before.name != "delete_sequence":
            attempt(edit_before.of(edits, sequence, engine.clock.now()))
            if data.draw(st.booleans(), label="followed"):
                follow.everybody(sequence.pk, engine.clock.now())
    now = engine.clock.advance(hours=data.draw(st.integers(0, 60), label="hours later"))
    fly(data.draw(st.sampled_from(["nothing", "planned", "sending"]), label="in flight"), now)
    proposed = resolve(sequence, data.draw(PROPOSALS, label="proposed"))
    if proposed is not None:
        compare(alice, sequence, proposed, engine.clock.now())


def attempt(act: Callable[[], Edit]) -> Edit | None:
    try:
        with transaction.atomic():
            return act()
    except Invalid:
        return None


def attempt_telling(
    alice: Account, sequence: Sequence, proposal: Callable[[], Edit], now: datetime
) -> tuple[impact.Impact | None, dict[int, impact.Person], list[str]]:
    """What it would do, to whom, by enrollment; or why it is refused."""
    try:
        counted, rows = impact.person_by_person(alice, sequence.pk, proposal, now)
    except Invalid as refused:
        return None, {}, refused.messages
    total = impact.of(alice, sequence.pk, proposal, now)
    assert figures(total, rows) == figures(counted, rows)
    return total, {row.enrollment_id: row for row in rows}, []


def figures(answer: impact.Impact, rows: list[impact.Person]) -> dict[str, Any]:
    """All that is counted. A created email has another id each time."""
    assert len(answer.examples) <= min(impact.EXAMPLES, len(rows))
    new_id = answer.done.email.pk if answer.is_new and answer.done.email else None
    named = {
        "right_away": Counter({None if pk == new_id else pk: n for pk, n in answer.right_away.items()}),
        "skipped": Counter({(None if pk == new_id else pk, why): n for (pk, why), n in answer.skipped.items()}),
    }
    plain = ["people", "unchanged", "moved", "kinds", "kinds_moved", "kinds_kept", "moved_from", "moved_to", "world"]
    return {name: getattr(answer, name) for name in plain} | named


def compare(alice: Account, sequence: Sequence, proposed: Proposed, now: datetime) -> set[str]:
    """Returns the kinds of people there were."""
    before, places = everything(), stands(sequence)
    proposal = proposed.of(verbs, sequence, now)
    total, foreseen, refusal = attempt_telling(alice, sequence, proposal, now)
    assert everything() == before
    if total is None:
        with pytest.raises(Invalid) as real:
            proposed.of(edits, sequence, now)()
        assert real.value.messages == refusal
        return set()
    assert total.people == len(foreseen)
    assert impact_words.summary(total) != "."
    shapes.impact(total, "token")
    done = proposed.of(edits, sequence, now)()
    follow.everybody(sequence.pk, now)
    after = stands(sequence)
    known = set(SequenceEmail.objects.values_list("pk", flat=True))
    new_id = done.email.pk if done.email else None
    for pk, stand in after.items():
        if pk not in foreseen:
            assert stand == places[pk]
            continue
        row = foreseen[pk]
        assert tuple(row.before) == places[pk]
        assert row.is_affected or stand == places[pk]
        email_id = row.after.email_id if row.after.email_id is None or row.after.email_id in known else new_id
        assert tuple(row.after._replace(email_id=email_id)) == stand, row
    assert total.unchanged == sum(not row.is_affected for row in foreseen.values())
    if done.is_filtered:
        is_sieved(sequence, done, foreseen, now)
    happens(sequence, foreseen, new_id, known, now)
    return {row.kind for row in foreseen.values()}


def happens(
    sequence: Sequence, foreseen: dict[int, impact.Person], new_id: int | None, known: set[int], now: datetime
) -> None:
    """A tick later, who was to get something right away has it planned, and who was to be skipped is skipped."""
    plan.everything_due(now)
    rows = {
        (row.enrollment_id, row.email_id): row for row in Delivery.objects.filter(sequence=sequence).order_by("run")
    }
    for pk, row in foreseen.items():
        email_id = row.after.email_id if row.after.email_id in known else new_id
        if row.kind == "right_away" and email_id is not None:
            ready_at = rows[pk, email_id].ready_at
            assert rows[pk, email_id].status == "planned" and ready_at is not None and ready_at <= now
        elif row.reason.startswith(("excluded", "filtered")) and email_id is not None:
            assert (rows[pk, email_id].status, rows[pk, email_id].reason) == ("skipped", row.reason)


def is_sieved(sequence: Sequence, done: Edit, foreseen: dict[int, impact.Person], now: datetime) -> None:
    """Let through, or kept from it: as is told when everybody who has the email to come is due for it at once, with the
    filter of before and with that of now."""
    assert done.email is not None
    if not done.email.published:
        assert {row.sieve for row in foreseen.values()} <= {""}
        return
    before = SequenceEdit.objects.filter(kind="email_filtered", email=done.email).latest("pk").changes
    assert before is not None
    was, now_is = (turns(sequence, done.email, one, now) for one in before["filter"])
    for pk, row in foreseen.items():
        assert row.sieve == SIEVES.get((was.get(pk, ""), now_is.get(pk, "")), "")


SIEVES = {("planned", "skipped"): "kept_from", ("skipped", "planned"): "let_through"}


def turns(sequence: Sequence, email: SequenceEmail, condition: dict[str, Any] | None, now: datetime) -> dict[int, str]:
    """How the turn of everybody who has this email still to come would end."""
    with transaction.atomic():
        SequenceEmail.objects.filter(pk=email.pk).update(filter=condition, held_at=None)
        Sequence.objects.filter(pk=sequence.pk).update(active=True)
        inside = Enrollment.objects.filter(sequence=sequence, status__in=["active", "unconfirmed"])
        had = Delivery.objects.filter(enrollment=OuterRef("pk"), run=OuterRef("run"), email=email)
        coming = inside.exclude(Exists(had))
        coming.update(status="active", next_email=email, due_at=now, paused_at=None, held_due_at=None, in_flight=False)
        plan.everything_due(now)
        rows = Delivery.objects.filter(email=email, planned_at=now)
        ended = {pk: status for pk, status in rows.values_list("enrollment_id", "status") if pk is not None}
        transaction.set_rollback(True)
    return ended
