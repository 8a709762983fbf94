"""The page of one person: who they are, their way through each sequence, what happened, every mail as it was."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine import enroll, transitions
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, forms, subscribe
from dripstone.subscribers import tags as tagging
from dripstone.subscribers.models import CustomField, FormSubscription, Subscriber, Tag
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import MONDAY_9, make_email, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.rules.making import rule, tag, tag_added
from tests.web.reading import hidden_members

pytestmark = pytest.mark.usefixtures("clock")

DAY = timedelta(days=1)
EMAILS: tuple[dict[str, Any], ...] = (
    {"subject": "Hello {{ subscriber.first_name }}", "delay_value": 0},
    {"subject": "Rain", "delay_value": 2},
    {"subject": "Rock", "delay_value": 3},
    {"subject": "River", "delay_value": 1},
)


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, email_address="noor@example.org", first_name="Noor")


@pytest.fixture
def sequence(account: Account) -> Sequence:
    return make_sequence(account, *EMAILS, name="Caves", send_hour=11)


@pytest.fixture
def place(sequence: Sequence, noor: Subscriber, engine: Engine) -> Enrollment:
    """Noor had the first email on Monday, and waits for “Rain” on Wednesday."""
    made = make_enrollment(sequence, noor)
    engine.run()
    return made


def path(noor: Subscriber, rest: str = "") -> str:
    return f"/people/{noor.pk}{rest}"


def text(answer: Any) -> str:
    """As it is read: without tags, in one line."""
    return (
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))
        .replace("&#x27;", "'")
        .replace(" ,", ",")
        .replace(" ;", ";")
    )


def answered(alice: Client, at: str, **members: Any) -> Any:
    """After the question, as the form on it is sent."""
    question = alice.post(at, members)
    assert question.status_code == 200, text(question)
    return alice.post(at, hidden_members(question), follow=True)


# --- Who they are --------------------------------------------------------------------------------------------------


def test_it_says_who_somebody_is_since_when_and_by_what(alice: Client, account: Account, noor: Subscriber) -> None:
    page = text(alice.get(path(noor)))
    assert "Noor Active noor@example.org · since today" in page
    assert "In no sequence" in page


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (("owner",), "by hand"),
        (("owner", "quiet"), "by hand (rules were told not to fire)"),
        (("api",), "by API"),
        (("import 4",), "by the import 4"),
        (("bulk 9",), "by the bulk action 9"),
        (("api", "rule 7"), "by the rule 7, by API"),
        (("api", "rule 7", "rule 8"), "by the rule 8, after the rule 7, by API"),
        (("rule 7", "rule 8"), "by the rule 8, after the rule 7"),
    ],
)
def test_it_says_how_somebody_came(alice: Client, account: Account, cause: causes.Cause, said: str) -> None:
    ivo = subscribe.upsert(account.pk, {"email_address": "ivo@example.org"}, MONDAY_9, cause=cause).subscriber
    assert f"since today, {said}" in text(alice.get(path(ivo)))


def test_it_says_by_which_form(alice: Client, account: Account) -> None:
    form = forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)
    cause = (f"form {form.pk}",)
    ivo = subscribe.upsert(account.pk, {"email_address": "ivo@example.org"}, MONDAY_9, cause=cause).subscriber
    assert "by the form “Newsletter”" in text(alice.get(path(ivo)))


def test_when_their_first_event_is_pruned_the_form_or_the_first_sequence_says_it(
    alice: Client, account: Account, noor: Subscriber, sequence: Sequence
) -> None:
    make_enrollment(sequence, noor, MONDAY_9 + DAY, source="import")
    Event.objects.all().delete()
    assert "by an import" in text(alice.get(path(noor)))
    form = forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)
    FormSubscription.objects.create(
        form=form, subscriber=noor, referrer="https://pod.example/12?utm_source=podcast", added_at=MONDAY_9
    )
    page = text(alice.get(path(noor)))
    assert "by the form “Newsletter”" in page
    assert "on pod.example/12 utm_source=podcast" in page


@pytest.mark.parametrize("state", ["inactive", "cancelled", "bounced", "complained"])
def test_it_says_why_nothing_is_sent(alice: Client, account: Account, state: str) -> None:
    when = {"canceled_at": MONDAY_9} if state == "cancelled" else {}
    page = text(alice.get(path(make_subscriber(account, state=state, **when))))
    assert "sent to them" in page
    assert ("Ask to confirm again" in page) == (state == "inactive")


# --- Their way -----------------------------------------------------------------------------------------------------


def test_it_shows_past_and_future_with_a_line_for_now_between(
    alice: Client, noor: Subscriber, place: Enrollment
) -> None:
    page = text(alice.get(path(noor)))
    order = [
        "email 2 of 4 comes next",
        "Next is “Rain”, on Wed 25 Nov, 11:00.",
        "Sent today, 04:00: at once after they entered today, 04:00.",
        "Now, Mon 23 Nov 2026, 04:00",
        "Rain Goes on Wed 25 Nov, 11:00: 2 days after “Hello [first name]” was sent today, 04:00, at the sequence's",
        "River Goes on Sun 29 Nov, 11:00: 1 day after “Rock”",
    ]
    at = [page.find(one) for one in order]
    assert -1 not in at, (order[at.index(-1)], page)
    assert at == sorted(at)


def test_what_was_done_by_hand_stands_in_the_past_with_its_reason(
    alice: Client, noor: Subscriber, place: Enrollment, engine: Engine
) -> None:
    places.pause(place.pk, "ann@example.com", "On holiday", engine.clock.now())
    page = text(alice.get(path(noor)))
    assert "Today, 04:00 they were paused: On holiday (by ann@example.com)." in page
    assert page.find("On holiday") < page.find("Now, Mon 23 Nov")
    assert "Paused" in page


def test_of_many_runs_the_last_ones_are_told(
    alice: Client, noor: Subscriber, place: Enrollment, engine: Engine
) -> None:
    for _ in range(4):
        places.restart(place.pk, "ann@example.com", "", engine.clock.now())
        engine.run()
    page = text(alice.get(path(noor)))
    assert "1 run before these" in page
    assert "Run 1, from" not in page
    assert "Run 4, from today, 04:00 to today, 04:00: 1 sent." in page


def test_it_says_whose_wall_clock_it_is_when_it_is_not_the_accounts(
    alice: Client, account: Account, noor: Subscriber
) -> None:
    made = make_enrollment(make_sequence(account, *EMAILS, time_zone="Europe/Paris"), noor)
    assert "Times of this sequence are Paris time." in text(alice.get(path(noor)))
    assert "Times are Paris time." in text(alice.post(f"/enrollments/{made.pk}/skipping"))


def test_sequences_that_are_over_are_one_line_until_they_are_opened(
    alice: Client, account: Account, noor: Subscriber, engine: Engine
) -> None:
    over = make_enrollment(make_sequence(account, {"subject": "Only", "delay_value": 0}, name="Welcome"), noor)
    engine.run()
    answer = alice.get(path(noor))
    assert "Welcome Completed today 1 email" in text(answer)
    assert f'hx-get="/enrollments/{over.pk}"' in answer.content.decode()
    assert "Only" not in text(answer).replace("Only their", "")
    part = alice.get(f"/enrollments/{over.pk}", headers={"HX-Target": f"way-{over.pk}"})
    assert "<html" not in part.content.decode()
    assert "Only" in text(part)
    assert "<html" in alice.get(f"/enrollments/{over.pk}").content.decode()


def test_it_takes_the_same_queries_for_many_sequences_and_deliveries_as_for_few(
    alice: Client, account: Account, noor: Subscriber, engine: Engine
) -> None:
    def enter(n: int) -> None:
        for _ in range(n):
            make_enrollment(make_sequence(account, {"delay_value": 0}, {"delay_value": 1}), noor)
        engine.run()

    enter(4)
    with CaptureQueriesContext(
        connection,
    ) as few:
        alice.get(path(noor))
    enter(12)
    with CaptureQueriesContext(connection) as many:
        alice.get(path(noor))
    assert len(many) == len(few)


# --- Acts on a place -----------------------------------------------------------------------------------------------


def test_skipping_says_first_what_it_does_to_each_email(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    question = alice.post(f"/enrollments/{place.pk}/skipping")
    said = text(question)
    assert "Skip “Rain” for Noor?" in said
    assert "“Rain” is skipped; it would have gone on Wed 25 Nov, 11:00" in said
    assert "“Rock” goes on Thu 26 Nov, 11:00, instead of Sat 28 Nov, 11:00" in said
    assert "Nobody else is touched" in said
    place.refresh_from_db()
    assert place.next_email is not None
    assert place.next_email.subject == "Rain"


def test_asking_leaves_nothing_behind_and_wakes_nobody(
    alice: Client, noor: Subscriber, place: Enrollment, django_capture_on_commit_callbacks: Any
) -> None:
    def everything() -> list[list[Any]]:
        tables = ("engine_enrollment", "engine_delivery", "engine_note", "events_event", "procrastinate_jobs")
        with connection.cursor() as cursor:
            found = []
            for table in (*tables, "tallies_tally"):
                cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
                found.append(cursor.fetchall())
        return found

    before = everything()
    with django_capture_on_commit_callbacks() as woken:
        for act in ("pausing", "skipping", "sending", "restart", "removal"):
            assert alice.post(f"/enrollments/{place.pk}/{act}").status_code == 200
        assert alice.post(path(noor, "/unsubscription")).status_code == 200
    assert everything() == before
    assert woken == []


def test_the_answer_does_it_and_keeps_the_reason(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    at = f"/enrollments/{place.pk}/skipping"
    members = hidden_members(alice.post(at))
    page = text(alice.post(at, {**members, "reason": "They know it"}, follow=True))
    assert "“Rain” is skipped." in page
    assert (
        "“Rain” was skipped: They know it; what comes next is to go on Thu 26 Nov, 11:00 (by alice@example.com)."
        in page
    )
    assert "Next is “Rock”" in page


def test_it_does_what_it_said(alice: Client, noor: Subscriber, place: Enrollment, engine: Engine) -> None:
    answered(alice, f"/enrollments/{place.pk}/skipping")
    engine.run_until(MONDAY_9 + 4 * DAY)
    assert [subject for subject, _ in engine.sent(noor)][1:] == ["Rock"]


def test_when_the_place_moved_meanwhile_it_asks_again_with_the_difference_marked(
    alice: Client, noor: Subscriber, place: Enrollment, engine: Engine
) -> None:
    at = f"/enrollments/{place.pk}/skipping"
    question = alice.post(at)
    engine.run_until(MONDAY_9 + 2.5 * DAY)  # “Rain” went
    again = alice.post(at, {**hidden_members(question), "reason": "They know it"})
    said = again.content.decode()
    assert "Things have moved since you asked" in text(again)
    assert 'class="is-new"' in said
    assert "<s>“Rain” is skipped" in said
    assert 'value="They know it"' in said
    assert not Note.objects.exists()
    assert alice.post(at, hidden_members(again)).status_code == 302
    assert Note.objects.get().kind == "skipped"


def test_somebody_is_put_back_to_an_email_they_had(
    alice: Client, noor: Subscriber, place: Enrollment, engine: Engine
) -> None:
    engine.run_until(MONDAY_9 + 3 * DAY)
    rain = place.sequence.emails.get(subject="Rain")
    question = text(alice.post(f"/enrollments/{place.pk}/moving", {"email_id": rain.pk}))
    assert "Move Noor to “Rain”?" in question
    assert "“Rain” goes again on Sat 28 Nov, 11:00" in question
    assert "A new run begins; what they had stays in their history" in question
    page = text(answered(alice, f"/enrollments/{place.pk}/moving", email_id=rain.pk))
    assert "“Rain” comes next for Noor." in page
    assert "Run 1, from today" not in page  # it began on Monday
    assert "Run 1, from Mon 23 Nov" in page


def test_without_scripts_one_chooses_the_email_on_a_page(alice: Client, place: Enrollment) -> None:
    at = f"/enrollments/{place.pk}/moving"
    assert "2. Rain" in text(alice.get(at))
    refused = alice.post(at)
    assert refused.status_code == 422
    assert "Choose the email that comes next" in text(refused)


def test_pausing_keeps_the_date_and_says_so(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    said = text(alice.post(f"/enrollments/{place.pk}/pausing"))
    assert "“Rain” waits; its date is kept, Wed 25 Nov, 11:00" in said
    assert "“Rock” and “River” wait" in said
    answered(alice, f"/enrollments/{place.pk}/pausing")
    page = text(alice.get(path(noor)))
    assert "Resume" in page
    assert "Send now" not in page
    said = text(alice.post(f"/enrollments/{place.pk}/resumption"))
    assert "“Rain” goes on Wed 25 Nov, 11:00; it had no date" in said


def test_removing_says_what_does_not_go_any_more(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    said = text(alice.post(f"/enrollments/{place.pk}/removal"))
    assert "“Rain”, “Rock” and “River” do not go any more" in said
    page = text(answered(alice, f"/enrollments/{place.pk}/removal"))
    assert "Noor is out of “Caves”." in page
    assert "Removed" in page


def test_what_cannot_be_done_is_said_and_not_done(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    page = alice.post(f"/enrollments/{place.pk}/resumption", follow=True)
    assert "This person is not paused." in text(page)
    too_long = alice.post(f"/enrollments/{place.pk}/pausing", {"reason": "x" * 1001}, follow=True)
    assert "reason is too long" in text(too_long)
    dialog = alice.post(f"/enrollments/{place.pk}/resumption", headers={"HX-Request": "true", "HX-Target": "ask"})
    assert dialog.status_code == 422


# --- Into something -------------------------------------------------------------------------------------------------


def test_adding_to_a_sequence_says_first_what_will_come(alice: Client, noor: Subscriber, sequence: Sequence) -> None:
    assert "Caves" in text(alice.get(path(noor, "/entry")))
    question = text(alice.post(path(noor, "/entry"), {"sequence_id": sequence.pk}))
    assert "“Hello [first name]” goes right away" in question
    assert "“Rain” goes on Wed 25 Nov, 11:00" in question
    assert "Add them, mail 1 now" in question
    assert not Enrollment.objects.exists()
    assert "Noor is in “Caves”." in text(answered(alice, path(noor, "/entry"), sequence_id=sequence.pk))
    assert Enrollment.objects.get().source == "owner"
    assert "Caves" not in text(alice.get(path(noor, "/entry")))


def test_somebody_excluded_is_told_of_before_they_are_added(
    alice: Client, account: Account, noor: Subscriber, sequence: Sequence
) -> None:
    tag = make_tag(account, noor, name="Customer")
    Sequence.objects.update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    question = text(alice.post(path(noor, "/entry"), {"sequence_id": sequence.pk}))
    assert "it will be skipped, because they have the tag “Customer”" in question


def test_an_email_with_a_filter_they_do_not_meet_is_told_of_before_they_are_added(
    alice: Client, account: Account, noor: Subscriber, sequence: Sequence
) -> None:
    tag = make_tag(account, name="Reader")
    sequence.emails.filter(subject="Rain").update(filter={"type": "tags", "has": "any", "ids": [tag.pk]})
    question = text(alice.post(path(noor, "/entry"), {"sequence_id": sequence.pk}))
    assert "“Rain” has its turn on Wed 25 Nov, 11:00; it will be skipped, because" in question
    assert "“Reader”" in question


def test_a_sequence_has_to_be_chosen(alice: Client, noor: Subscriber) -> None:
    answer = alice.post(path(noor, "/entry"), {"sequence_id": ""})
    assert answer.status_code == 422
    assert "Choose a sequence" in text(answer)


def test_they_may_be_put_on_a_form(alice: Client, account: Account, noor: Subscriber) -> None:
    form = forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)
    page = text(alice.post(path(noor, "/entry"), {"form_id": form.pk}, follow=True))
    assert "Noor is on the form “Newsletter”." in page
    assert FormSubscription.objects.get().subscriber == noor


# --- What is known of them ------------------------------------------------------------------------------------------


def test_details_are_changed_on_a_page(alice: Client, account: Account, noor: Subscriber) -> None:
    city, _ = fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    assert "City empty" in text(alice.get(path(noor)))
    members = {"email_address": "noor@example.com", "first_name": "", "field-city": "Lisbon"}
    assert "City Lisbon" in text(alice.post(path(noor, "/details"), members, follow=True))
    noor.refresh_from_db()
    assert (noor.email_address, noor.first_name, noor.fields) == ("noor@example.com", None, {str(city.pk): "Lisbon"})
    assert "“City” set to “Lisbon”, by hand" in text(alice.get(path(noor)))
    alice.post(path(noor, "/details"), members | {"field-city": ""})
    noor.refresh_from_db()
    assert noor.fields == {}


def test_a_wrong_address_is_said_beside_its_field_and_changes_nothing(
    alice: Client, account: Account, noor: Subscriber
) -> None:
    make_subscriber(account, email_address="ivo@example.org")
    for address, said in (("nobody", "Email address is invalid"), ("ivo@example.org", "already been taken")):
        answer = alice.post(path(noor, "/details"), {"email_address": address, "first_name": "N"})
        assert answer.status_code == 422
        assert said in text(answer)
        assert f'value="{address}"' in answer.content.decode()
    noor.refresh_from_db()
    assert (noor.email_address, noor.first_name) == ("noor@example.org", "Noor")


def test_too_much_in_a_field_is_said(alice: Client, account: Account, noor: Subscriber) -> None:
    fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    members = {"email_address": "noor@example.org", "first_name": "Noor", "field-city": "x" * 70_000}
    answer = alice.post(path(noor, "/details"), members)
    assert answer.status_code == 422
    assert "more than 64 KB" in text(answer)


def opened_details(browser: Client, person: Subscriber) -> dict[str, str]:
    """What the form would send if nothing were typed into it."""
    page = browser.get(path(person, "/details"))
    shown = {name: page.context["form"].values[name] for name in ("email_address", "first_name", "field-city")}
    return shown | {"seen": hidden_members(page)["seen"][0]}


@pytest.fixture
def city(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0]


def test_two_who_write_into_different_fields_both_do(
    alice: Client, editor: Client, noor: Subscriber, city: CustomField
) -> None:
    mine, theirs = opened_details(alice, noor), opened_details(editor, noor)
    editor.post(path(noor, "/details"), theirs | {"first_name": "Nour"})
    alice.post(path(noor, "/details"), mine | {"field-city": "Lisbon"})
    noor.refresh_from_db()
    assert (noor.first_name, noor.fields) == ("Nour", {str(city.pk): "Lisbon"})


def test_of_two_who_write_into_the_same_field_the_second_sees_what_the_first_saved(
    alice: Client, editor: Client, noor: Subscriber, city: CustomField
) -> None:
    mine, theirs = opened_details(alice, noor), opened_details(editor, noor)
    editor.post(path(noor, "/details"), theirs | {"field-city": "Porto"})
    answer = alice.post(path(noor, "/details"), mine | {"field-city": "Lisbon", "first_name": "N"})
    assert answer.status_code == 409
    assert "Somebody has saved “Porto” here since you opened the page" in text(answer)
    assert 'value="Lisbon"' in answer.content.decode()
    noor.refresh_from_db()
    assert (noor.first_name, noor.fields) == ("Noor", {str(city.pk): "Porto"})
    again = mine | {"field-city": "Lisbon", "first_name": "N", "seen": hidden_members(answer)["seen"][0]}
    assert alice.post(path(noor, "/details"), again).status_code == 302
    noor.refresh_from_db()
    assert (noor.first_name, noor.fields) == ("N", {str(city.pk): "Lisbon"})


def test_two_who_write_the_same_need_not_choose(
    alice: Client, editor: Client, noor: Subscriber, city: CustomField
) -> None:
    mine, theirs = opened_details(alice, noor), opened_details(editor, noor)
    for browser, form in ((editor, theirs), (alice, mine)):
        assert browser.post(path(noor, "/details"), form | {"field-city": "Porto"}).status_code == 302


def test_saving_without_a_change_writes_nothing(alice: Client, noor: Subscriber, city: CustomField) -> None:
    Subscriber.objects.filter(pk=noor.pk).update(fields={str(city.pk): "two\nlines"})
    form = opened_details(alice, noor)
    alice.post(path(noor, "/details"), form | {"field-city": "twolines"})  # as a browser sends it
    noor.refresh_from_db()
    assert noor.fields == {str(city.pk): "two\nlines"}


@pytest.mark.parametrize("seen", ["", "[1]", "{", '{"first_name": 7}'])
def test_any_seen_may_be_sent(alice: Client, noor: Subscriber, city: CustomField, seen: str) -> None:
    form = {"email_address": "noor@example.org", "first_name": "Nour", "field-city": "", "seen": seen}
    assert alice.post(path(noor, "/details"), form).status_code in (302, 409)


def test_tags_are_added_by_name_and_taken_away(alice: Client, account: Account, noor: Subscriber) -> None:
    assert "has the tag “Course”, which is new" in text(
        alice.post(path(noor, "/tags"), {"name": "Course"}, follow=True)
    )
    assert "has the tag “Course” already" in text(alice.post(path(noor, "/tags"), {"name": "course"}, follow=True))
    tag = Tag.objects.get()
    page = text(alice.post(path(noor, f"/tags/{tag.pk}/removal"), follow=True))
    assert "does not have the tag “Course” any more" in page
    assert "Got the tag “Course”, by hand" in page
    assert "Lost the tag “Course”, by hand" in page
    assert "Name can't be blank" in text(alice.post(path(noor, "/tags"), {"name": " "}, follow=True))


# --- Unsubscribing and confirming -----------------------------------------------------------------------------------


def test_unsubscribing_says_first_what_ends(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    at = path(noor, "/unsubscription")
    question = alice.post(at)
    assert "“Caves” ends for them; “Rain” would have gone on Wed 25 Nov, 11:00" in text(question)
    page = text(alice.post(at, {**hidden_members(question), "reason": "Asked by phone"}, follow=True))
    assert "Noor is unsubscribed" in page
    assert "Unsubscribed, by hand: “Asked by phone”" in page
    noor.refresh_from_db()
    assert noor.state == "cancelled"
    assert "Nothing is sent to Noor as it is" in text(alice.post(at, follow=True))


def test_it_asks_again_when_they_entered_something_meanwhile(
    alice: Client, account: Account, noor: Subscriber, place: Enrollment
) -> None:
    at = path(noor, "/unsubscription")
    question = alice.post(at)
    make_enrollment(make_sequence(account, {"delay_value": 1}, name="Stones"), noor)
    again = alice.post(at, hidden_members(question))
    assert "Things have moved" in text(again)
    assert "“Stones” ends for them" in text(again)
    noor.refresh_from_db()
    assert noor.state == "active"


def test_somebody_who_did_not_confirm_is_asked_again(alice: Client, account: Account) -> None:
    ivo = make_subscriber(account, email_address="ivo@example.org", state="inactive")
    at = path(ivo, "/confirmation")
    assert "goes to ivo@example.org right away" in text(alice.post(at, follow=True))
    assert Delivery.objects.get().notice is not None
    assert "less than 5 minutes ago" in text(alice.post(at, follow=True))


# --- What happened --------------------------------------------------------------------------------------------------


def test_what_happened_is_told_in_words_newest_first(
    alice: Client, account: Account, noor: Subscriber, sequence: Sequence, engine: Engine
) -> None:
    tag = make_tag(account, name="VIP")
    tagging.add(tag, noor, MONDAY_9, cause=("api", "rule 7"))
    enroll.add(sequence, [noor.pk], "api", MONDAY_9)
    engine.run()
    transitions.cancel(noor.pk, MONDAY_9 + DAY, delivery_id=Delivery.objects.get().pk, cause=causes.SUBSCRIBER)
    page = text(alice.get(path(noor, "/history")))
    order = [
        "Left “Caves”, by themselves, because they unsubscribed",
        "Unsubscribed by the link in “Hello [first name]”, by themselves",
        "Entered “Caves”, by API",
        "Got the tag “VIP”, by the rule 7, by API",
    ]
    at = [page.find(one) for one in order]
    assert -1 not in at, (order[at.index(-1)], page)
    assert at == sorted(at)
    assert "Of the last 400 days" in page


def test_a_tag_and_a_value_say_since_when_and_by_what(alice: Client, account: Account, noor: Subscriber) -> None:
    course = rule(account, tag(make_tag(account)), when=tag_added(make_tag(account)))
    tagging.add(make_tag(account, name="VIP"), noor, MONDAY_9 - 3 * DAY, cause=("api", f"rule {course.pk}"))
    fields.create(account.pk, {"label": "Town"}, MONDAY_9, cause=causes.OWNER)
    subscribe.update(noor.pk, {"fields": {"town": "Bath"}}, MONDAY_9, cause=causes.imported(4))
    page = text(alice.get(path(noor)))
    assert "VIP since Fri 20 Nov, by the rule “Rule”, by API" in page
    assert "Town Bath since today, by the import 4" in page


def test_who_came_back_after_a_deletion_is_told_of(alice: Client, account: Account, noor: Subscriber) -> None:
    ids = {"account_id": account.pk, "subscriber_id": noor.pk}
    came = {"type": types.SUBSCRIBER_CREATED, "cause": ["import 4"], "data": {"remembered_as": "cancelled"}}
    Event.objects.create(**ids, **came, occurred_at=MONDAY_9)
    transitions.complain(noor.pk, MONDAY_9)
    transitions.reinstate(noor.pk, "Wrote that it was a mistake", MONDAY_9)
    page = text(alice.get(path(noor)))
    assert "Came on file again, and is not mailed: before, they had unsubscribed, by the import 4" in page
    assert "Came back, by hand: “Wrote that it was a mistake”" in page


def test_somebody_who_complained_is_let_in_again_by_an_owner_alone(
    alice: Client, editor: Client, noor: Subscriber
) -> None:
    transitions.complain(noor.pk, MONDAY_9)
    assert f'href="/people/{noor.pk}/reinstatement"' in alice.get(path(noor)).content.decode()
    assert "They want mail again" not in text(editor.get(path(noor)))


def test_what_is_gone_is_called_so(alice: Client, account: Account, noor: Subscriber) -> None:
    tag = make_tag(account, name="VIP")
    tagging.add(tag, noor, MONDAY_9, cause=causes.API)
    tag.delete()
    assert "Got a tag that is gone" in text(alice.get(path(noor)))


# --- Mail -----------------------------------------------------------------------------------------------------------


def test_every_mail_is_listed_with_what_became_of_it(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    page = text(alice.get(path(noor, "/mails")))
    assert "Hello [first name] Caves Sent Today, 04:00" in page


def test_a_mail_is_shown_as_it_was(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    row = Delivery.objects.get()
    page = alice.get(f"/deliveries/{row.pk}")
    assert "Hello Noor" in text(page)
    assert "exactly those it was made of (version 1)" in text(page)
    assert "have not changed since" in text(page)
    frame = alice.get(f"/deliveries/{row.pk}/body")
    assert "sandbox" in frame["Content-Security-Policy"]
    assert "Hello Noor" in frame.content.decode()
    assert "Hello Noor" in text(alice.get(f"/deliveries/{row.pk}?view=text"))
    assert "Message-ID" in text(alice.get(f"/deliveries/{row.pk}?view=headers"))


def test_it_says_when_their_own_values_may_be_others_by_now(
    alice: Client, noor: Subscriber, place: Enrollment, engine: Engine
) -> None:
    subscribe.update(noor.pk, {"first_name": "Nora"}, MONDAY_9 + DAY, cause=causes.OWNER)
    page = text(alice.get(f"/deliveries/{Delivery.objects.get().pk}"))
    assert "own values are today" in page
    assert "may have changed since" in page


def test_a_mail_that_was_not_sent_says_so(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    answered(alice, f"/enrollments/{place.pk}/skipping")
    skipped = Delivery.objects.get(status="skipped")
    page = text(alice.get(f"/deliveries/{skipped.pk}"))
    assert "Nothing was sent" in page
    assert "The owner skipped it" in page
    assert alice.get(f"/deliveries/{skipped.pk}/body").status_code == 404


def test_what_is_to_come_is_previewed_for_them(alice: Client, noor: Subscriber, place: Enrollment) -> None:
    rain = place.sequence.emails.get(subject="Rain")
    page = text(alice.get(path(noor, f"/emails/{rain.pk}/preview")))
    assert "As Noor would get it now" in page
    assert "Hello Noor" in alice.get(path(noor, f"/emails/{rain.pk}/preview/body")).content.decode()


def test_mail_pages_lead_to_older_ones(alice: Client, account: Account, noor: Subscriber, engine: Engine) -> None:
    sequence = make_sequence(account, *({"delay_value": 1, "subject": f"Letter {n}"} for n in range(55)))
    make_enrollment(sequence, noor)
    engine.run_until(MONDAY_9 + 60 * DAY)
    first = alice.get(path(noor, "/mails"))
    assert "Letter 54" in text(first)
    assert "Letter 4 " not in text(first)
    older = alice.get(path(noor, "/mails") + first.context["page"].older)
    assert "Letter 4 " in text(older)
    back = alice.get(path(noor, "/mails") + older.context["page"].newer)
    assert [row.pk for row in back.context["page"].rows] == [row.pk for row in first.context["page"].rows]


def test_a_long_way_is_shown_around_now_and_whole_on_its_own_page(
    alice: Client, account: Account, noor: Subscriber, clock: VirtualClock
) -> None:
    sequence = make_sequence(account, *({"delay_value": 1, "subject": f"Letter {n}"} for n in range(50)))
    place = make_enrollment(sequence, noor)
    make_email(sequence, position=50, subject="The last")
    page = alice.get(path(noor))
    assert "The last" not in text(page)
    assert "The whole way, with 11 more." in text(page)
    assert "The last" in text(alice.get(f"/enrollments/{place.pk}"))
