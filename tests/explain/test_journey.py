"""What became of each email for one person, what comes when, and why."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine import claim, plan, transitions
from dripstone.engine.acts import edits, overdue, places
from dripstone.engine.models import Delivery, Enrollment
from dripstone.explain import journey, journey_words
from dripstone.explain.journey import Journey, Step
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Tagging
from tests.driving import Engine
from tests.factories import MONDAY_9, make_email, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = "Europe/Paris"
WELCOME = {"subject": "Welcome", "delay_value": 0}
SECOND = {"subject": "Second", "delay_value": 2}
THIRD = {"subject": "Third", "delay_value": 3, "delay_unit": "hours"}
WEEKDAYS = [0, 1, 2, 3, 4]


def told(place: Enrollment, engine: Engine) -> Journey:
    row = Enrollment.objects.select_related("sequence", "subscriber").get(pk=place.pk)
    return journey.of(row, engine.clock.now())


def steps(place: Enrollment, engine: Engine) -> dict[str, Step]:
    return {step.email.subject: step for step in told(place, engine).steps}


def sentences(place: Enrollment, engine: Engine) -> dict[str, str]:
    found = told(place, engine)
    return {step.email.subject: journey_words.sentence(step, found.facts) for step in found.steps}


def outcomes(place: Enrollment, engine: Engine) -> dict[str, str]:
    return {subject: step.outcome for subject, step in steps(place, engine).items()}


def entered(alice: Account, *emails: dict[str, Any], **values: Any) -> Enrollment:
    return make_enrollment(make_sequence(alice, *emails, time_zone=ZONE, **values), make_subscriber(alice))


def refuse(kind: Any, reply: str) -> Any:
    def answer(message: Outgoing) -> Answer:
        return Answer(message.delivery_id, kind, reply, "")

    return answer


# --- What happened ----------------------------------------------------------------------------------------------


def test_it_says_what_was_sent_and_by_which_rule(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run_until(MONDAY_9 + 3 * DAY)
    assert sentences(place, engine) == {
        "Welcome": "Sent on Monday, 23 November 2026 at 10:00 (Europe/Paris): "
        "at once after they entered on Monday, 23 November 2026 at 10:00.",
        "Second": "Sent on Wednesday, 25 November 2026 at 09:00 (Europe/Paris): 2 days after “Welcome” was sent on "
        "Monday, 23 November 2026 at 10:00, at the sequence's hour of 09:00.",
    }


def test_it_names_emails_as_people_read_them(alice: Account, engine: Engine) -> None:
    welcome = WELCOME | {"subject": "Hello {{ subscriber.first_name }}"}
    place = entered(alice, welcome, SECOND)
    engine.run()
    sequence, now = place.sequence, engine.clock.now()
    second = sequence.emails.get(position=1)
    edits.update_email(alice, sequence.pk, second.pk, {"subject": "{{ subscriber.first_name }}, go on"}, now, "Alice")
    edits.update_email(alice, sequence.pk, second.pk, {"published": False}, now + HOUR, "Alice")
    engine.clock.set(now + HOUR)
    engine.run()
    found = told(place, engine)
    said = [journey_words.journey(found), *(journey_words.sentence(step, found.facts) for step in found.steps)]
    said += [journey_words.note(note, found.facts) for note in found.notes]
    assert any("“[first name], go on” unpublished" in one for one in said)
    assert not any("{{" in one for one in said)


def test_it_says_whom_an_exclusion_skipped_and_by_what(alice: Account, engine: Engine) -> None:
    reader = make_subscriber(alice)
    tag = make_tag(alice, reader, name="Customer")
    sequence = make_sequence(
        alice, WELCOME, SECOND, time_zone=ZONE, exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}]
    )
    place = make_enrollment(sequence, reader)
    engine.run()
    found = sentences(place, engine)
    assert found["Welcome"].startswith(
        "Skipped on Monday, 23 November 2026 at 10:00 (Europe/Paris), "
        "because they have the tag “Customer”, which this sequence excludes. "
        "Its turn came by the rule: at once after they entered"
    )
    assert found["Second"].startswith("Will be skipped, because they have the tag “Customer”")
    Tagging.objects.all().delete()
    assert sentences(place, engine)["Second"].startswith("Goes on Wednesday")


def test_it_gives_the_reply_of_a_refusal(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.mail.answer = refuse("permanent", "554 Message looks like spam.")
    engine.run()
    assert outcomes(place, engine) == {"Welcome": "failed", "Second": "next"}
    assert sentences(place, engine)["Welcome"].startswith(
        "Could not be delivered: given up on Monday, 23 November 2026 at 10:00 (Europe/Paris), "
        "with the reply “554 Message looks like spam”"
    )


def test_it_admits_that_an_end_is_not_known(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.mail.answer = refuse("unknown", "connection lost after the body")
    engine.run()
    assert sentences(place, engine)["Welcome"].startswith("Not known whether it arrived: it was handed over on Monday")


def test_it_says_when_a_refused_message_is_tried_again(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.mail.answer = refuse("temporary", "451 Busy")
    engine.run()
    found = steps(place, engine)["Welcome"]
    delivery = Delivery.objects.get()
    assert (found.outcome, found.at) == ("sending", delivery.ready_at)
    said = sentences(place, engine)
    assert said["Welcome"].startswith("Tried once without success; the last reply was “451 Busy”. Next try on Monday")
    assert said["Second"].startswith("Goes on Wednesday")
    assert outcomes(place, engine)["Second"] == "later"


def test_it_says_what_is_on_the_wire(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    plan.everything_due(engine.clock.now())
    assert sentences(place, engine)["Welcome"] == "Being sent now."
    claim.take("worker 1", engine.clock.now())
    assert sentences(place, engine)["Welcome"] == "Being sent now."


def test_what_was_held_back_at_the_last_moment_says_so(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    plan.everything_due(engine.clock.now())
    edits.update_sequence(alice, place.sequence_id, {"active": False}, engine.clock.now())
    assert sentences(place, engine)["Welcome"] == (
        "Held back just before it was sent: the sequence is paused (inactive); everybody keeps their place."
    )


def test_what_waits_for_an_unpublished_email_is_not_said_to_be_on_its_way(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    plan.everything_due(engine.clock.now())
    email = place.sequence.emails.get()
    edits.update_email(alice, place.sequence_id, email.pk, {"published": False}, engine.clock.now())
    assert journey_words.journey(told(place, engine)).startswith(
        "“Welcome” was held back just before it was sent: the email is not published."
    )
    assert told(place, engine).waiting_because == "email_unpublished"


def test_what_was_moved_to_a_later_slot_is_not_said_to_wait_for_a_limit(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    plan.everything_due(engine.clock.now())
    overdue.resume("next-slot", engine.clock.now())
    held_back = "Was held back, and goes on Tuesday, 24 November 2026 at 09:00 (Europe/Paris)."
    assert sentences(place, engine)["Welcome"] == held_back
    Delivery.objects.update(attempt=1, untried=1)  # a limit had kept it before
    assert sentences(place, engine)["Welcome"] == held_back
    Delivery.objects.update(unparked_at=None)
    assert sentences(place, engine)["Welcome"].startswith("Waits its turn: a limit applies. Next try on Tuesday")


# --- What comes -------------------------------------------------------------------------------------------------


def test_a_date_moved_by_send_days_says_from_where_to_where(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, {"subject": "Second", "delay_value": 5}, send_days=WEEKDAYS)
    engine.run()
    assert sentences(place, engine)["Second"] == (
        "Goes on Monday, 30 November 2026 at 09:00 (Europe/Paris): 5 days after “Welcome” was sent on Monday, "
        "23 November 2026 at 10:00 is Saturday, 28 November, and as it is only sent on weekdays it moves to Monday, "
        "30 November, at the sequence's hour of 09:00."
    )
    reckoning = steps(place, engine)["Second"].reckoning
    assert reckoning is not None
    assert reckoning.moved


def test_later_emails_count_from_those_before_them(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    found = steps(place, engine)
    assert (found["Second"].outcome, found["Third"].outcome) == ("next", "later")
    assert found["Third"].at == datetime(2026, 11, 25, 11, tzinfo=UTC)
    assert sentences(place, engine)["Third"] == (
        "Goes on Wednesday, 25 November 2026 at 12:00 (Europe/Paris): 3 hours after “Second”."
    )


def test_an_hour_the_clocks_skip_is_told(alice: Account, engine: Engine) -> None:
    engine.clock.set(datetime(2026, 3, 27, 12, tzinfo=UTC))
    sequence = make_sequence(alice, {"subject": "Second", "delay_value": 2}, send_hour=2, time_zone=ZONE)
    place = make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    assert sentences(place, engine)["Second"].endswith("at 03:00: the clocks skip 02:00 that day.")


def dated_before_an_edit(alice: Account, engine: Engine) -> Enrollment:
    """Somebody whose next email got another delay since it got its date."""
    place = entered(alice, WELCOME, SECOND)
    engine.run()
    email = place.sequence.emails.get(position=1)
    edits.update_email(alice, place.sequence_id, email.pk, {"delay_value": 4}, engine.clock.now())
    engine.run()
    return place


def test_a_date_kept_from_before_an_edit_says_what_it_would_be_now(alice: Account, engine: Engine) -> None:
    place = dated_before_an_edit(alice, engine)
    assert sentences(place, engine)["Second"] == (
        "Goes on Wednesday, 25 November 2026 at 09:00 (Europe/Paris). This date was given before the delay or the "
        "schedule was changed, and stays; by today's settings it would be Friday, 27 November 2026 at 09:00 (4 days "
        "after “Welcome” was sent on Monday, 23 November 2026 at 10:00, at the sequence's hour of 09:00)."
    )


def test_an_email_published_behind_them_says_who_did_it(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, {"subject": "Draft", "published": False}, {"subject": "Third", "delay_value": 9})
    engine.run_until(MONDAY_9 + 3 * DAY)
    draft = place.sequence.emails.get(subject="Draft")
    assert sentences(place, engine)["Draft"] == (
        "A draft: their turn for it has passed. Publishing it sends it to them, right away if its date has passed by "
        "then."
    )
    now = engine.clock.now()
    edits.update_email(alice, place.sequence_id, draft.pk, {"published": True}, now, "API key shop (…f3a2)")
    assert outcomes(place, engine)["Draft"] == "next"  # foreseen, before the engine has followed the edit
    engine.run()
    assert sentences(place, engine)["Draft"] == (
        "Sent on Thursday, 26 November 2026 at 10:00 (Europe/Paris). The date came from this: on Thursday, "
        "26 November 2026 at 10:00 (Europe/Paris), after an edit (“Draft” published, by API key shop (…f3a2)), their "
        "next email was “Draft”, to go right away; their date before was Wednesday, 2 December 2026 at 09:00."
    )
    assert [note.actor for note in steps(place, engine)["Draft"].changes] == ["API key shop (…f3a2)"]


def test_a_person_paused_alone_has_no_date(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    places.pause(place.pk, "owner", "on holiday", engine.clock.now())
    assert sentences(place, engine) | {"Welcome": ""} == {
        "Welcome": "",
        "Second": "No date: this person was paused on Monday, 23 November 2026 at 10:00 (Europe/Paris), by owner. "
        "Its date was Wednesday, 25 November 2026 at 09:00 (Europe/Paris); resumed before then, it goes on that date; "
        "resumed later, it goes at the next allowed day and hour.",
        "Third": "No date yet: this person was paused on Monday, 23 November 2026 at 10:00 (Europe/Paris), by owner. "
        "It comes 3 hours after “Second”.",
    }


def test_nobody_has_a_date_in_a_paused_sequence(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run()
    edits.update_sequence(alice, place.sequence_id, {"active": False}, engine.clock.now())
    engine.run_until(MONDAY_9 + 5 * DAY)
    found = told(place, engine)
    assert found.stop == "sequence_paused"
    assert (
        "that has passed, so when resumed it goes at the next allowed day and hour."
        in (sentences(place, engine)["Second"])
    )
    assert journey_words.journey(found).startswith("The sequence is paused (inactive); everybody keeps their place.")


def test_the_unconfirmed_wait_for_their_own_click(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND, THIRD, time_zone=ZONE)
    reader = make_subscriber(alice, state="inactive")
    place = make_enrollment(sequence, reader)
    assert sentences(place, engine)["Second"] == (
        "No date yet: they have not confirmed their address yet; delays count from the moment they do. "
        "It comes 2 days after they confirm."
    )
    engine.clock.advance(hours=5)
    transitions.confirm(reader.pk, engine.clock.now())
    assert (
        "2 days after they confirmed their address on Monday, 23 November 2026 at 15:00"
        in (sentences(place, engine)["Second"])
    )


def test_an_email_unpublished_under_their_feet_is_waited_for(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    second = place.sequence.emails.get(position=1)
    edits.update_email(alice, place.sequence_id, second.pk, {"published": False}, engine.clock.now())
    engine.run()
    assert sentences(place, engine) | {"Welcome": ""} == {
        "Welcome": "",
        "Second": "They wait for this email, which is not published. "
        "It gets a date when it is published, moved or deleted.",
        "Third": "No date yet. It comes 3 hours after “Second”.",
    }
    assert told(place, engine).waiting_because == "email_unpublished"


def put_on_hold(place: Enrollment, position: int, engine: Engine) -> None:
    email = place.sequence.emails.get(position=position)
    edits.hold_email(place.sequence.account, place.sequence_id, email.pk, engine.clock.now(), "Alice")


def test_an_email_on_hold_is_waited_at(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    put_on_hold(place, 1, engine)
    engine.run()
    held = "put on hold on Monday, 23 November 2026 at 10:00 (Europe/Paris), by Alice"
    assert sentences(place, engine) | {"Welcome": ""} == {
        "Welcome": "",
        "Second": f"No date: this email was {held}. Its date was Wednesday, 25 November 2026 at 09:00 (Europe/Paris); "
        "released before then, it goes on that date; released later, it goes at the next allowed day and hour.",
        "Third": "No date yet. It comes 3 hours after “Second”.",
    }
    found = told(place, engine)
    assert found.waiting_because == "email_on_hold"
    assert journey_words.journey(found) == (
        f"They wait at “Second”, which was {held}; nothing else is sent to them meanwhile. "
        "They have been sent 1 email in this run so far."
    )
    (note,) = found.notes
    assert "after an edit (“Second” put on hold, by Alice), their next email was “Second”, without a date" in (
        journey_words.note(note, found.facts)
    )
    engine.run_until(MONDAY_9 + 3 * DAY)
    assert "that has passed, so when released it goes at the next allowed" in sentences(place, engine)["Second"]
    places.pause(place.pk, "Alice", "", engine.clock.now())
    assert sentences(place, engine)["Second"].endswith(f"by Alice. And it was {held}.")


def test_an_email_on_hold_further_on_is_told_of(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD, {"subject": "Fourth"})
    engine.run()
    put_on_hold(place, 2, engine)  # nobody has followed it yet
    assert outcomes(place, engine) == {"Welcome": "sent", "Second": "next", "Third": "waiting", "Fourth": "waiting"}
    assert sentences(place, engine)["Third"] == (
        "No date yet. It comes 3 hours after “Second”. It was put on hold on Monday, 23 November 2026 at 10:00 "
        "(Europe/Paris), by Alice: unless it is released by then, they wait at it."
    )


def test_mail_held_back_just_before_it_was_sent_says_it_is_on_hold(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    plan.everything_due(engine.clock.now())
    put_on_hold(place, 0, engine)
    assert sentences(place, engine)["Welcome"] == (
        "Held back just before it was sent: this email was put on hold on Monday, 23 November 2026 at 10:00 "
        "(Europe/Paris), by Alice."
    )
    assert told(place, engine).waiting_because == "email_on_hold"


def test_a_wait_that_was_skipped_is_told(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run()
    second = place.sequence.emails.get(position=1)
    now = engine.clock.advance(hours=3)
    edits.skip_wait(alice, place.sequence_id, second.pk, now, "Alice")
    engine.clock.advance(seconds=2)
    engine.run()
    assert sentences(place, engine)["Second"] == (
        "Sent on Monday, 23 November 2026 at 13:00 (Europe/Paris). The date came from this: on Monday, 23 November "
        "2026 at 13:00 (Europe/Paris), after an edit (the wait for “Second” skipped for everybody, by Alice), their "
        "next email was “Second”, to go right away; their date before was Wednesday, 25 November 2026 at 09:00."
    )


def test_a_deleted_email_they_wait_for_is_passed_by_at_its_moment(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    second = place.sequence.emails.get(position=1)
    edits.delete_email(alice, place.sequence_id, second.pk, engine.clock.now())
    engine.run()
    assert sentences(place, engine)["Second"].startswith(
        "Will be skipped, because the email was deleted: its turn comes on Wednesday, 25 November 2026 at 09:00"
    )
    engine.run_until(MONDAY_9 + 2 * DAY)
    assert sentences(place, engine)["Second"].startswith("Skipped on Wednesday")


def test_at_the_end_with_hold_they_wait_for_the_next_publication(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, {"subject": "Draft", "published": False}, hold=True)
    engine.run()
    assert journey_words.journey(told(place, engine)).startswith("They wait at the end: they have had every published")
    assert told(place, engine).waiting_because == "at_the_end"
    assert sentences(place, engine)["Draft"] == (
        "A draft: they wait for it, or for any other email, to be published. "
        "It then comes 1 day after the email before it."
    )


def test_a_draft_ahead_will_be_passed_over(alice: Account, engine: Engine) -> None:
    place = entered(alice, SECOND, {"subject": "Draft", "published": False}, THIRD)
    assert sentences(place, engine)["Draft"].startswith("A draft: nobody is sent it, and they will pass over it")


def test_nothing_published_keeps_them_waiting(alice: Account, engine: Engine) -> None:
    place = entered(alice, {"subject": "Draft", "published": False})
    assert told(place, engine).waiting_because == "nothing_published"
    assert journey_words.journey(told(place, engine)) == (
        "They wait: no email of this sequence is published yet. They have been sent 0 emails in this run so far."
    )


def test_who_has_completed_gets_nothing_more(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME)
    engine.run()
    make_email(place.sequence, position=1, subject="New")
    assert sentences(place, engine)["New"] == (
        "Will not be sent: they completed the sequence on Monday, 23 November 2026 at 10:00 (Europe/Paris). "
        "What is published now does not reach people who have completed."
    )


def test_who_unsubscribed_gets_nothing_more(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run()
    transitions.cancel(place.subscriber_id, engine.clock.now())
    assert sentences(place, engine)["Second"] == (
        "Will not be sent: they left the sequence on Monday, 23 November 2026 at 10:00 (Europe/Paris), "
        "because they unsubscribed."
    )


def test_the_verbs_on_one_person_are_told(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, THIRD)
    engine.run()
    now = engine.clock.now()
    places.skip(place.pk, "Alice", "had it by hand", now)
    assert sentences(place, engine)["Second"].startswith(
        "Skipped on Monday, 23 November 2026 at 10:00 (Europe/Paris), because the owner skipped it. "
        "Its turn would have come on Wednesday, 25 November 2026 at 09:00."
    )
    places.send_now(place.pk, "Alice", "", now)
    assert sentences(place, engine)["Third"] == "Being sent now."
    found = told(place, engine)
    assert [journey_words.note(note, found.facts) for note in found.notes] == [
        "On Monday, 23 November 2026 at 10:00 (Europe/Paris) “Second” was skipped: had it by hand; "
        "what comes next is to go on Monday, 23 November 2026 at 13:00 (by Alice).",
        "On Monday, 23 November 2026 at 10:00 (Europe/Paris) “Third” was told to go right away (by Alice).",
    ]


def test_a_late_engine_says_that_it_was_late(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run()
    engine.clock.set(MONDAY_9 + timedelta(days=2, hours=9))
    assert steps(place, engine)["Second"].at == datetime(2026, 11, 26, 8, tzinfo=UTC)
    assert sentences(place, engine)["Second"] == (
        "Goes on Thursday, 26 November 2026 at 09:00 (Europe/Paris). Its date, Wednesday, 25 November 2026 at 09:00 "
        "(2 days after “Welcome” was sent on Monday, 23 November 2026 at 10:00, at the sequence's hour of 09:00), was "
        "missed by more than six hours, so it waits for the next allowed day and hour."
    )
    engine.run()
    assert (
        "On Wednesday, 25 November 2026 at 19:00 (Europe/Paris) the engine came too late for “Second”"
        in (sentences(place, engine)["Second"])
    )


def test_a_missed_date_of_before_an_edit_is_told_without_todays_figures(alice: Account, engine: Engine) -> None:
    place = dated_before_an_edit(alice, engine)
    engine.clock.set(MONDAY_9 + timedelta(days=2, hours=9))
    assert sentences(place, engine)["Second"] == (
        "Goes on Thursday, 26 November 2026 at 09:00 (Europe/Paris). Its date, Wednesday, 25 November 2026 at 09:00, "
        "was missed by more than six hours, so it waits for the next allowed day and hour."
    )


def test_an_email_that_is_not_for_them_says_for_whom_it_is(alice: Account, engine: Engine) -> None:
    """R21: what comes by today's filter, what was by the filter of that time."""
    customer, reader = make_tag(alice, name="Customer"), make_tag(alice, name="Reader")
    to_customers, to_readers = ({"type": "tags", "ids": [tag.pk]} for tag in (customer, reader))
    place = entered(alice, SECOND | {"filter": to_customers}, THIRD | {"filter": {"not": to_customers}})
    second = place.sequence.emails.get(subject="Second")
    found = told(place, engine)
    assert journey_words.journey(found).startswith(
        "Next would be “Second”, on Wednesday, 25 November 2026 at 09:00 (Europe/Paris); it will be skipped, because "
        "it goes only to people who have the tag “Customer”. "
    )
    assert [step.coming and step.coming.excluded for step in found.steps] == ["filtered", ""]
    engine.run_until(engine.clock.now() + 2 * DAY)
    given = {"filter": to_readers}
    edits.filter_email(alice, place.sequence_id, second.pk, given, engine.clock.now() + HOUR, "Alice")
    edits.filter_email(alice, place.sequence_id, second.pk, {"filter": None}, engine.clock.now() + 2 * HOUR, "Alice")
    assert sentences(place, engine)["Second"].startswith(
        "Skipped on Wednesday, 25 November 2026 at 09:00 (Europe/Paris), because it goes only to people who have the "
        "tag “Customer”"
    )
    customer.delete()
    assert "the tag number" in sentences(place, engine)["Second"]


def test_a_filter_is_no_change_of_a_delay(alice: Account, engine: Engine) -> None:
    place = entered(alice, SECOND)
    second = place.sequence.emails.get()
    edits.filter_email(
        alice,
        place.sequence_id,
        second.pk,
        {"filter": {"not": {"type": "tags", "ids": [make_tag(alice).pk]}}},
        engine.clock.now(),
    )
    engine.run_until(engine.clock.now() + 2 * DAY)
    assert told(place, engine).facts.retimed == []


def test_earlier_runs_are_kept_in_short(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run_until(MONDAY_9 + 3 * DAY)
    places.restart(place.pk, "Alice", "", engine.clock.now())
    found = told(place, engine)
    assert [journey_words.earlier_run(run, found.facts) for run in found.earlier_runs] == [
        "Run 1, from Monday, 23 November 2026 at 10:00 (Europe/Paris) to Wednesday, 25 November 2026 at 09:00: 2 sent."
    ]
    assert found.steps[0].reckoning is not None
    assert found.steps[0].reckoning.anchor.kind == "restarted"


# --- Does it come true? -----------------------------------------------------------------------------------------


def foreseen(place: Enrollment, engine: Engine) -> list[tuple[str, str, datetime]]:
    """(subject, how it will end, when) of all that is still to come."""
    coming = [step for step in told(place, engine).steps if step.outcome in ("next", "later")]
    return [
        (one.email.subject, "skipped" if one.coming and one.coming.excluded else "sent", one.at)
        for one in sorted(coming, key=lambda one: (one.at, one.email.position))
        if one.at is not None
    ]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York", "Pacific/Chatham"])
@pytest.mark.parametrize("excluded", [False, True])
def test_the_dates_it_gives_come_true(alice: Account, engine: Engine, zone: str, excluded: bool) -> None:
    """Also of an email that is not for them."""
    engine.clock.set(datetime(2027, 3, 10, 3, 17, tzinfo=UTC))
    reader = make_subscriber(alice)
    tag = make_tag(alice, *[reader] * excluded)
    sequence = make_sequence(
        alice,
        WELCOME,
        {"subject": "a", "delay_value": 3, "filter": {"type": "tags", "ids": [tag.pk]}},
        {"subject": "b", "delay_value": 7, "delay_unit": "hours"},
        {"subject": "draft", "published": False},
        {"subject": "c", "delay_value": 1, "send_days": [6]},
        {"subject": "d", "delay_value": 20},
        {"subject": "e", "delay_value": 1, "delay_unit": "hours"},
        send_days=WEEKDAYS,
        send_hour=2,
        time_zone=zone,
        exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}],
    )
    place = make_enrollment(sequence, reader, engine.clock.now())
    promised = foreseen(place, engine)
    engine.run_until(engine.clock.now() + 60 * DAY)
    assert len(promised) == 6
    assert engine.history(reader) == promised


def test_the_dates_come_true_after_an_insertion_behind_them(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, {"subject": "Third", "delay_value": 2}, THIRD | {"subject": "Fourth"})
    engine.run_until(MONDAY_9 + 3 * DAY)
    email = {"subject": "Inserted", "delay_value": 1, "delay_unit": "hours", "position": 1, "published": True}
    edits.create_email(alice, place.sequence_id, email, engine.clock.now())
    promised = foreseen(place, engine)
    before = len(engine.history(place.subscriber))
    engine.run_until(MONDAY_9 + 30 * DAY)
    assert [subject for subject, _, _ in promised] == ["Inserted", "Third", "Fourth"]
    assert engine.history(place.subscriber)[before:] == promised


def test_the_dates_come_true_when_two_were_inserted_long_behind_them(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND, {"subject": "Third", "delay_value": 30})
    engine.run_until(MONDAY_9 + 20 * DAY)
    for number in (1, 2):
        email = {"subject": f"New {number}", "delay_value": number, "delay_unit": "days", "position": number}
        edits.create_email(alice, place.sequence_id, email | {"published": True}, engine.clock.now())
    promised = foreseen(place, engine)
    before = len(engine.history(place.subscriber))
    engine.run_until(MONDAY_9 + 60 * DAY)
    assert engine.history(place.subscriber)[before:] == promised
    assert "burst" not in promised[0][0]


# --- What it costs ----------------------------------------------------------------------------------------------


def test_it_asks_the_database_a_fixed_number_of_times(alice: Account, engine: Engine) -> None:
    def queries(n_emails: int) -> int:
        sequence = make_sequence(alice, *[{"subject": f"{number}"} for number in range(n_emails)], time_zone=ZONE)
        place = make_enrollment(sequence, make_subscriber(alice))
        row = Enrollment.objects.select_related("sequence", "subscriber").get(pk=place.pk)
        with CaptureQueriesContext(connection) as asked:
            found = journey.of(row, engine.clock.now())
            assert len([journey_words.sentence(step, found.facts) for step in found.steps]) == n_emails
        return len(asked)

    assert queries(2) == queries(40) <= 6


def random_email(dice: Random, position: int) -> dict[str, Any]:
    hours = dice.random() < 0.4
    return {
        "subject": f"{position}/{dice.randrange(10**6)}",
        "position": position,
        "delay_unit": "hours" if hours else "days",
        "delay_value": dice.randint(1, 60 if hours else 5),
        "published": dice.random() < 0.8,
    }


def random_edit(dice: Random, alice: Account, sequence: Sequence, now: datetime) -> None:
    emails = list(sequence.emails.filter(deleted_at=None))
    email = dice.choice(emails)
    match dice.choice(["insert", "publish", "move", "delete", "delay", "hour"]):
        case "insert":
            edits.create_email(alice, sequence.pk, random_email(dice, dice.randint(0, 5)), now)
        case "publish":
            edits.update_email(alice, sequence.pk, email.pk, {"published": not email.published}, now)
        case "move":
            edits.update_email(alice, sequence.pk, email.pk, {"position": dice.randint(0, 6)}, now)
        case "delete":
            edits.delete_email(alice, sequence.pk, email.pk, now)
        case "delay":
            edits.update_email(alice, sequence.pk, email.pk, {"delay_value": dice.randint(1, 9)}, now)
        case "hour":
            edits.update_sequence(alice, sequence.pk, {"send_hour": dice.randrange(24)}, now)


@pytest.mark.parametrize("seed", range(20))
def test_the_dates_come_true_whatever_was_edited(alice: Account, engine: Engine, seed: int) -> None:
    dice = Random(seed)
    engine.clock.set(datetime(2027, 3, 1, tzinfo=UTC) + dice.random() * 40 * DAY)
    emails = [random_email(dice, position) for position in range(5)]
    zone = dice.choice(["America/New_York", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "UTC"])
    days = dice.sample(range(7), dice.randint(1, 7))
    sequence = make_sequence(alice, *emails, send_days=days, send_hour=2, time_zone=zone)
    place = make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    for _ in range(4):
        engine.run_until(engine.clock.now() + dice.random() * 6 * DAY)
        random_edit(dice, alice, sequence, engine.clock.now())
        if dice.random() < 0.5:
            engine.run()
        assert all(sentences(place, engine).values())
    before = len(engine.history(place.subscriber))
    promised = foreseen(place, engine)
    engine.run_until(engine.clock.now() + 90 * DAY)
    assert engine.history(place.subscriber)[before:] == promised


def test_a_past_date_by_other_rules_tells_what_was_changed_since(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.run_until(MONDAY_9 + 3 * DAY)
    second = place.sequence.emails.get(position=1)
    edits.update_email(alice, place.sequence_id, second.pk, {"delay_value": 4}, engine.clock.now())
    assert sentences(place, engine)["Second"] == (
        "Sent on Wednesday, 25 November 2026 at 09:00 (Europe/Paris). By today's delay and schedule it would have been "
        "Friday, 27 November 2026 at 09:00; since it got its date, “Second”: delay changed from 2 days to 4 days, on "
        "Thursday, 26 November 2026 at 10:00, by owner."
    )


def test_what_was_changed_before_a_date_was_given_is_not_named(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    second = place.sequence.emails.get(position=1)
    edits.update_email(alice, place.sequence_id, second.pk, {"delay_value": 3}, MONDAY_9 - HOUR)
    engine.run_until(MONDAY_9 + 4 * DAY)
    now = engine.clock.now()
    edits.update_sequence(alice, place.sequence_id, {"send_hour": 17, "send_days": ["monday", "friday"]}, now)
    told = sentences(place, engine)["Second"]
    assert "delay changed" not in told
    assert (
        "since it got its date, the sequence: send days changed from every day to Monday, Friday and send hour "
        "changed from 9 to 17, on Friday, 27 November 2026 at 10:00, by owner."
    ) in told


def test_the_first_sentence_names_an_email_on_its_way_or_about_to_be_skipped(alice: Account, engine: Engine) -> None:
    place = entered(alice, WELCOME, SECOND)
    engine.mail.answer = refuse("temporary", "451 Busy")
    engine.run()
    assert journey_words.journey(told(place, engine)).startswith("“Welcome” is on its way. Tried once without success")
    reader = make_subscriber(alice)
    tag = make_tag(alice, reader, name="Customer")
    sequence = make_sequence(alice, SECOND, exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    excluded = make_enrollment(sequence, reader)
    assert "it will be skipped, because they have the tag “Customer”" in journey_words.journey(told(excluded, engine))
