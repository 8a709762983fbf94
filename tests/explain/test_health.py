"""Why is this sequence not sending? Every finding, and the call that mends it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account, SendingAddress
from dripstone.content import snippets, templates
from dripstone.engine import claim, plan
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment, Pulse
from dripstone.explain import health
from dripstone.explain.findings import Finding
from dripstone.explain.health import Health
from dripstone.senders import pace
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField
from tests.driving import Engine
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WELCOME = {"subject": "Welcome", "delay_value": 0, "content": "<p>Hello</p>"}
SECOND = {"subject": "Second", "delay_value": 2, "content": "<p>Hello</p>"}
DRAFT = {"subject": "Draft", "published": False}


@pytest.fixture(autouse=True)
def worker(db: None) -> None:
    """One that has just shown itself."""
    beat(MONDAY_9)


def beat(instant: datetime | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")
        if instant is not None:
            cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [instant])


def look(sequence: Sequence, engine: Engine) -> Health:
    row = Sequence.objects.select_related("account", "sending_address", "email_template").get(pk=sequence.pk)
    (found,) = health.of([row], engine.clock.now(), MONDAY_9)
    return found


def codes(sequence: Sequence, engine: Engine) -> list[str]:
    return [one.code for one in look(sequence, engine).findings]


def only(sequence: Sequence, engine: Engine) -> Finding:
    (found,) = look(sequence, engine).findings
    return found


def enter(sequence: Sequence, engine: Engine, **values: Any) -> Enrollment:
    return make_enrollment(sequence, make_subscriber(sequence.account, **values), engine.clock.now())


def test_a_healthy_sequence_says_what_goes_out_next(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, time_zone="Europe/Paris")
    enter(sequence, engine)
    enter(sequence, engine)
    engine.run()
    found = look(sequence, engine)
    assert found.is_healthy
    assert found.findings == []
    assert found.sentence == (
        "All is well. 2 people are inside. "
        "Next: “Second”, for 2 people, on Wednesday, 25 November 2026 at 09:00 (Europe/Paris)."
    )


def test_a_paused_sequence_is_resumed_by_a_call(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, active=False)
    enter(sequence, engine)
    found = look(sequence, engine)
    (finding,) = found.findings
    assert finding.code == "inactive"
    assert finding.mend is not None
    assert (finding.mend.method, finding.mend.path) == ("PUT", f"/v4/sequences/{sequence.pk}")
    assert found.next is None
    assert found.sentence.startswith("Not sending as it should: The sequence is paused (inactive)")
    assert not found.is_wrong  # the owner chose it


def test_no_emails(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice)
    enter(sequence, engine)
    assert only(sequence, engine).code == "no_emails"


def test_all_drafts(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, DRAFT, DRAFT)
    enter(sequence, engine)
    finding = only(sequence, engine)
    assert finding.sentence == "Nothing is published: all its 2 emails are drafts."
    assert finding.mend is not None
    assert finding.mend.body == {"published": True}


def test_a_draft_in_the_middle_is_worth_a_notice(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, DRAFT, SECOND, DRAFT)
    enter(sequence, engine)
    engine.run()
    finding = only(sequence, engine)
    assert (finding.code, finding.severity) == ("draft_in_the_middle", "notice")
    assert finding.email_id == sequence.emails.get(position=1).pk
    assert look(sequence, engine).is_healthy


def test_people_who_wait_for_an_unpublished_email(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    enter(sequence, engine)
    engine.run()
    edits.update_email(alice, sequence.pk, sequence.emails.get(position=1).pk, {"published": False}, MONDAY_9)
    engine.run()
    finding = only(sequence, engine)
    assert finding.sentence == (
        "1 person waits for “Second”, which was unpublished; they get nothing until it is published, moved or deleted."
    )


def test_nobody_inside(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    assert only(sequence, engine).code == "nobody_inside"
    enter(sequence, engine)
    engine.run()
    assert only(sequence, engine).sentence == "Nobody is inside any more: 1 person completed the sequence."


def test_everybody_unconfirmed(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    enter(sequence, engine, state="inactive")
    assert only(sequence, engine).code == "everybody_unconfirmed"


def test_everybody_paused_one_by_one(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    place = enter(sequence, engine)
    places.pause(place.pk, "owner", "", MONDAY_9)
    assert only(sequence, engine).sentence == "The one person inside is paused."
    places.pause(enter(sequence, engine).pk, "owner", "", MONDAY_9)
    assert only(sequence, engine).sentence == "All 2 people inside are paused, each on their own."


def test_everybody_at_the_end_with_hold(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, hold=True)
    enter(sequence, engine)
    engine.run()
    finding = only(sequence, engine)
    assert (finding.code, finding.severity) == ("everybody_at_the_end", "notice")
    assert look(sequence, engine).sentence == (
        "Nothing left to send: the one person inside has had every published email."
    )


def test_who_is_paused_or_waits_for_a_draft_is_not_counted_at_the_end(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, hold=True)
    at_the_end = [enter(sequence, engine), enter(sequence, engine)]
    engine.run_until(MONDAY_9 + 3 * DAY)
    paused = enter(sequence, engine)
    engine.run()
    places.pause(paused.pk, "owner", "", engine.clock.now())
    assert only(sequence, engine).sentence == (
        "2 people inside have had every published email and wait at the end, where hold keeps them. A new email "
        "reaches them when it is published. 1 person more is paused."
    )
    for place in at_the_end:
        places.pause(place.pk, "owner", "", engine.clock.now())
    assert only(sequence, engine).code == "everybody_paused"


def test_the_headline_says_that_everybody_has_completed(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    enter(sequence, engine)
    engine.run()
    assert codes(sequence, engine) == ["everybody_completed"]
    reason = "Nothing left to send: everyone who entered has completed the sequence."
    assert look(sequence, engine).sentence == reason
    Account.objects.update(postal_address="")
    assert look(sequence, engine).sentence == f"{reason} To mend: 1 thing."


def test_an_email_goes_only_to_people_by_a_tag_that_is_gone(alice: Account, engine: Engine) -> None:
    gone, there = make_tag(alice), make_tag(alice)
    conditions = ({"type": "tags", "ids": [tag.pk]} for tag in (there, gone))
    sequence = make_sequence(alice, *({**SECOND, "filter": {"not": one}} for one in conditions))
    enter(sequence, engine)
    assert codes(sequence, engine) == []
    number = gone.pk
    gone.delete()
    found = only(sequence, engine)
    broken = sequence.emails.get(position=1)
    assert (found.code, found.email_id) == ("filter_met_by_nobody", broken.pk)
    assert found.sentence == (
        f"Everybody skips “Second”: it goes only to some people. The tag number {number} is gone, so nobody is found "
        "by it."
    )
    assert found.mend is not None
    edits.filter_email(alice, sequence.pk, broken.pk, found.mend.body or {}, engine.clock.now())
    assert codes(sequence, engine) == []


def test_a_filter_by_what_is_not_recorded_is_met_by_nobody(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {**SECOND, "filter": {"not": {"type": "opens"}}})
    enter(sequence, engine)
    assert only(sequence, engine).sentence == (
        "Everybody skips “Second”: it goes only to some people. Nothing is recorded yet about who opened an email, so "
        "nobody is found by it."
    )


def test_an_exclusion_that_is_gone(alice: Account, engine: Engine) -> None:
    """It is wrong whether or not somebody is inside, and the mend leaves the other exclusions."""
    tag, gone, other = make_tag(alice), make_tag(alice), make_tag(alice)
    sources = [{"type": "tag", "ids": [tag.pk, gone.pk, other.pk]}]
    sequence = make_sequence(alice, SECOND, exclude_subscriber_sources=sources)
    enter(sequence, engine)
    assert codes(sequence, engine) == []
    number = gone.pk
    gone.delete()
    assert codes(sequence, engine) == ["exclusion_gone"]
    found = look(sequence, engine).findings[0]
    assert found.sentence == (
        "Every email is skipped when its turn comes: the sequence excludes "
        f"the tag number {number}, which was deleted, and so everybody."
    )
    assert found.mend is not None
    assert found.mend.body == {"exclude_subscriber_sources": [{"type": "tag", "ids": [tag.pk, other.pk]}]}
    other.delete()
    assert "1 more exclusion is gone too." in look(sequence, engine).findings[0].sentence


@pytest.mark.parametrize("is_everybody", [True, False])
def test_everybody_excluded(alice: Account, engine: Engine, is_everybody: bool) -> None:
    tag = make_tag(alice)
    sequence = make_sequence(alice, SECOND, exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    people = [enter(sequence, engine).subscriber, enter(sequence, engine).subscriber]
    from dripstone.subscribers.models import Tagging

    for reader in people if is_everybody else people[:1]:
        Tagging.objects.create(tag=tag, subscriber=reader, tagged_at=MONDAY_9)
    assert codes(sequence, engine) == (["everybody_excluded"] if is_everybody else [])


def test_an_unverified_sender_and_the_one_to_use_instead(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    enter(sequence, engine)
    alice.sending_addresses.update(is_verified=False)
    finding = only(sequence, engine)
    assert (finding.code, finding.mend) == ("sender_unverified", None)
    assert finding.mend_by
    SendingAddress.objects.create(account=alice, email_address="good@example.com", created_at=MONDAY_9)
    finding = only(sequence, engine)
    assert finding.mend is not None
    assert finding.mend.body == {"email_address": "good@example.com"}


def test_no_postal_address(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    enter(sequence, engine)
    Account.objects.update(postal_address=" ")
    found = look(sequence, engine)
    assert [one.code for one in found.findings] == ["no_postal_address"]
    assert found.sentence.startswith("It sends, with 1 thing to mend. 1 person is inside. Next: “Second”")
    assert found.is_wrong


def test_a_missing_snippet_is_told_with_the_call_that_makes_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND | {"content": "<p>{{ snippet.cat-fact }}</p>"})
    enter(sequence, engine)
    finding = only(sequence, engine)
    assert finding.sentence == (
        "“Second” uses the snippet cat-fact, and there is none of that name; nothing stands in its place."
    )
    assert finding.mend is not None
    snippets.create(alice.pk, {**finding.mend.body, "content": "Meow"}, MONDAY_9)  # type: ignore[dict-item]
    assert codes(sequence, engine) == []


def test_what_templates_and_snippets_refer_to_is_looked_at(alice: Account, engine: Engine) -> None:
    html = "{{ snippet.gone }} {{ message_content }}"
    templates.create(alice.pk, {"name": "T", "html": html, "is_default": True}, MONDAY_9)
    inner = {"name": "inner", "snippet_type": "inline", "content": "{{ subscriber.city }}"}
    snippets.create(alice.pk, inner, MONDAY_9)
    sequence = make_sequence(alice, SECOND | {"content": "<p>{{ snippet.inner }}</p>"})
    enter(sequence, engine)
    assert [one.sentence for one in look(sequence, engine).findings] == [
        "“Second” uses, through its template, the snippet gone, and there is none of that name; "
        "nothing stands in its place.",
        "“Second” uses, through its snippet inner, subscriber.city, and there is no such custom field; "
        "nothing stands in its place.",
    ]


def test_a_field_without_fallback_is_mended_by_the_call_it_names(alice: Account, engine: Engine) -> None:
    CustomField.objects.create(account=alice, label="City", key="city", name="ck_field_1_city", created_at=MONDAY_9)
    sequence = make_sequence(alice, SECOND | {"content": "<p>From {{ subscriber.city | upcase }}?</p>"})
    enter(sequence, engine)
    finding = only(sequence, engine)
    assert finding.code == "field_without_fallback"
    assert finding.mend is not None
    assert finding.mend.body == {"content": '<p>From {{ subscriber.city | default: "your city" | upcase }}?</p>'}
    edits.update_email(alice, sequence.pk, sequence.emails.get().pk, finding.mend.body, MONDAY_9)
    assert codes(sequence, engine) == []


def test_words_of_a_starter_that_were_published_as_they_are(alice: Account, engine: Engine) -> None:
    mine = "<p>[sic] [your name] was here, said [your name] in [your field]</p>"
    sequence = make_sequence(alice, SECOND | {"content": mine})
    enter(sequence, engine)
    finding = only(sequence, engine)
    assert finding.code == "words_to_replace"
    assert finding.sentence == (
        "“Second” still says [your name] and 1 more, which came with the starter for you to replace."
    )


def test_an_unknown_field(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND | {"subject": "Hi {{ subscriber.shoe_size }}"})
    enter(sequence, engine)
    finding = only(sequence, engine)
    assert (finding.code, finding.mend and finding.mend.body) == ("unknown_field", {"label": "shoe size"})


def test_an_edit_nobody_follows(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    enter(sequence, engine)
    engine.run()
    edits.delete_email(alice, sequence.pk, sequence.emails.get(position=1).pk, engine.clock.now())
    assert "following_edits" in codes(sequence, engine)
    engine.clock.advance(minutes=5)
    assert "edits_not_followed" in codes(sequence, engine)
    assert look(sequence, engine).findings[0].code == "edits_not_followed"


@pytest.mark.parametrize(("age", "said"), [(None, "No worker is running"), (300, "No worker has shown itself since")])
def test_no_worker(alice: Account, engine: Engine, age: int | None, said: str) -> None:
    sequence = make_sequence(alice, SECOND)
    enter(sequence, engine)
    beat(None if age is None else MONDAY_9 - timedelta(seconds=age))
    finding = only(sequence, engine)
    assert finding.code == "engine_silent"
    assert finding.sentence.startswith(said)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("permanent", "1 could not be delivered and 0 are being tried again"),
        ("temporary", "0 could not be delivered and 1 is being tried again"),
    ],
)
def test_mail_that_fails_is_told_with_the_last_reply(alice: Account, engine: Engine, kind: Any, words: str) -> None:
    def refuse(message: Outgoing) -> Answer:
        return Answer(message.delivery_id, kind, "535 Authentication failed", "")

    engine.mail.answer = refuse
    sequence = make_sequence(alice, WELCOME, SECOND)
    enter(sequence, engine)
    engine.run()
    finding = only(sequence, engine)
    assert finding.code == "mail_failing"
    assert finding.sentence == (f"Of the last 1 email, {words}; the last reply was “535 Authentication failed”.")


def test_people_who_should_have_been_sent_something(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND, time_zone="Europe/Paris")
    enter(sequence, engine)
    engine.clock.advance(days=3)
    finding = only(sequence, engine)
    assert finding.code == "late"
    assert finding.sentence == (
        "1 person should have been sent something by now, the first since Wednesday, 25 November 2026 at 09:00 "
        "(Europe/Paris): the engine does not keep up, or stands still."
    )


def test_planned_mail_that_no_worker_takes(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    enter(sequence, engine)
    plan.everything_due(engine.clock.now())
    assert codes(sequence, engine) == []
    assert "1 email is on the way now." in look(sequence, engine).sentence
    engine.clock.advance(minutes=11)
    assert codes(sequence, engine) == ["late"]


def test_planned_mail_that_waits_for_room_is_not_late(alice: Account, engine: Engine, settings: Any) -> None:
    settings.DRIPSTONE_MAIL_URL = "smtp://127.0.0.1:2525?per_day=3"
    sequence = make_sequence(alice, WELCOME)
    for _ in range(20):
        enter(sequence, engine)
    plan.everything_due(engine.clock.now())
    mail = claim.server()
    with pace.server_gauge(mail.server, mail.limit) as gauge:
        gauge.take(engine.clock.now(), 3)  # today's three have gone
    engine.clock.advance(minutes=11)
    assert "late" not in codes(sequence, engine)


@pytest.mark.parametrize(("minutes_ago", "found"), [(1, []), (11, ["late"])])
def test_planned_mail_is_late_only_when_nothing_was_sent_for_long(
    alice: Account, engine: Engine, minutes_ago: int, found: list[str]
) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    enter(sequence, engine)
    plan.everything_due(engine.clock.now())
    engine.clock.advance(minutes=11)
    Pulse.objects.create(sent_at=engine.clock.now() - timedelta(minutes=minutes_ago))
    assert codes(sequence, engine) == found


def test_many_sequences_cost_as_many_queries_as_one(alice: Account, engine: Engine) -> None:
    made = [make_sequence(alice, WELCOME, DRAFT, SECOND) for _ in range(5)]
    for sequence in made:
        enter(sequence, engine)

    def queries(sequences: list[Sequence]) -> int:
        rows = list(Sequence.objects.filter(pk__in=[one.pk for one in sequences]).select_related(
            "account", "sending_address", "email_template"))  # fmt: skip
        with CaptureQueriesContext(connection) as asked:
            assert len(health.of(rows, engine.clock.now(), MONDAY_9)) == len(sequences)
        return len(asked)

    assert queries(made[:1]) == queries(made) <= 10


def test_a_field_compared_with_a_number_is_told(alice: Account, engine: Engine) -> None:
    CustomField.objects.create(account=alice, key="age", label="Age", name="ck_field_1_age", created_at=MONDAY_9)
    content = "{% if subscriber.age > 18 %}Hi{% else %}Ho{% endif %}"
    sequence = make_sequence(alice, {"subject": "Adults", "content": content})
    (finding,) = [one for one in look(sequence, engine).findings if one.code == "field_compared_with_number"]
    assert finding.sentence == (
        "“Adults” compares subscriber.age with a number. Fields are text: neither equal to a number "
        "nor greater or less."
    )
    assert finding.mend_by == "Write {% assign number = subscriber.age | plus: 0 %} first, and compare number."


def test_an_email_on_hold_is_a_notice_until_somebody_waits_at_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    make_enrollment(sequence, make_subscriber(alice), MONDAY_9)
    second = sequence.emails.get(position=1)
    edits.hold_email(alice, sequence.pk, second.pk, MONDAY_9, "Alice")
    engine.clock.set(MONDAY_9)
    Sequence.objects.update(edits_done=1)
    found = only(sequence, engine)
    assert (found.code, found.severity, found.email_id) == ("email_on_hold", "notice", second.pk)
    engine.run()
    make_enrollment(sequence, make_subscriber(alice), MONDAY_9)
    found = only(sequence, engine)
    assert found.severity == "warning"
    assert found.sentence == (
        "“Second” was put on hold on Monday, 23 November 2026 at 09:00 (UTC), by Alice: nobody gets it, and 1 person "
        "waits at it without a date until it is released or deleted."
    )
    engine.run()
    found = only(sequence, engine)
    assert found.severity == "error"
    assert found.mend is not None
    assert found.mend.path == f"/ext/v1/sequences/{sequence.pk}/emails/{second.pk}/release"
    assert not look(sequence, engine).is_wrong  # the owner wants it so
