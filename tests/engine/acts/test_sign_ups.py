"""Who is let in, who must click, and what the click does: docs/reference/life-of-a-sign-up.md, line by line."""

from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import enroll, identity, notices, transitions
from dripstone.engine.acts import sign_ups as acts
from dripstone.engine.models import Delivery, Enrollment, Notice
from dripstone.errors import Invalid
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.subscribers import fields, forms, sign_ups, subscribe
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import Form, FormSubscription, SignUp, Subscriber, Tagging
from dripstone.subscribers.sign_ups import Asked
from tests.driving import Engine
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ANN = "ann@example.org"
OPT_INS = ["single", "double"]
MUST_CLICK = ["inactive", "cancelled", "bounced"]


def make_form(account: Account, opt_in: str = "double", **values: Any) -> Form:
    """It adds a tag and a sequence, and asks for the company."""
    tag, sequence = make_tag(account), make_sequence(account, {"delay_value": 2})
    field, _ = fields.create(account.pk, {"label": "Company"}, MONDAY_9, cause=causes.OWNER)
    given = {"name": "Footer", "opt_in": opt_in, "tag_ids": [tag.pk], "sequence_ids": [sequence.pk]}
    given |= {"field_ids": [field.pk], **values}
    return forms.create(account.pk, given, MONDAY_9, sequence_ids={sequence.pk})


def ask(form: Form, address: str = ANN, now: datetime = MONDAY_9, **typed: Any) -> None:
    given = {"email_address": address, **typed}
    acts.ask(form, sign_ups.read(form, given, Origin.of_page(None)), now)


def click(now: datetime = MONDAY_9, row: SignUp | None = None) -> bool:
    """In the newest mail, unless it says otherwise."""
    return acts.click((row or SignUp.objects.latest("pk")).pk, now)


def ann() -> Subscriber:
    return Subscriber.objects.get(email_address=ANN)


def on_file(account: Account, state: str, **values: Any) -> Subscriber:
    left = {"canceled_at": MONDAY_9 - DAY} if state == "cancelled" else {}
    return make_subscriber(account, email_address=ANN, state=state, **left, **values)


def added() -> tuple[bool, bool, bool]:
    """Whether she has come in by the form, has its tag, is on the way in its sequence."""
    return (
        FormSubscription.objects.filter(subscriber=ann(), is_unconfirmed=False).exists(),
        Tagging.objects.filter(subscriber=ann()).exists(),
        Enrollment.objects.filter(subscriber=ann(), status="active").exists(),
    )


ALL, NOTHING = (True, True, True), (False, False, False)


# --- Who is let in, and who must click --------------------------------------------------------------------------------


def test_single_opt_in_lets_somebody_new_in_at_once(alice: Account) -> None:
    ask(make_form(alice, "single"), first_name="Ann", fields={"company": "Caves Ltd"})
    assert (ann().state, ann().first_name, list(ann().fields.values())) == ("active", "Ann", ["Caves Ltd"])
    assert added() == ALL
    assert not SignUp.objects.exists()
    assert not Notice.objects.exists()


def test_double_opt_in_puts_somebody_new_on_the_form_and_asks(alice: Account) -> None:
    ask(make_form(alice), first_name="Ann")
    assert ann().state == "inactive"
    assert FormSubscription.objects.get().is_unconfirmed
    assert added() == NOTHING
    assert SignUp.objects.get().status == "waiting"
    assert Delivery.objects.get().subscriber_id == ann().pk


def test_the_click_makes_them_active_and_adds_what_the_form_adds(alice: Account) -> None:
    ask(make_form(alice), first_name="Ann")
    assert click(MONDAY_9 + DAY)
    assert ann().state == "active"
    assert added() == ALL
    assert Enrollment.objects.get().anchored_at == MONDAY_9 + DAY, "the first delay starts now (R2)"
    assert FormSubscription.objects.get().added_at == MONDAY_9


@pytest.mark.parametrize("opt_in", OPT_INS)
@pytest.mark.parametrize("state", MUST_CLICK)
def test_who_may_not_be_mailed_comes_in_by_a_click_alone(alice: Account, state: str, opt_in: str) -> None:
    on_file(alice, state)
    ask(make_form(alice, opt_in))
    assert (ann().state, added(), Notice.objects.count()) == (state, NOTHING, 1)
    assert click()
    assert (ann().state, added()) == ("active", ALL)
    assert ann().canceled_at is None


@pytest.mark.parametrize("opt_in", OPT_INS)
def test_who_complained_is_left_alone(alice: Account, opt_in: str) -> None:
    on_file(alice, "complained")
    ask(make_form(alice, opt_in))
    assert (ann().state, added()) == ("complained", NOTHING)
    assert not SignUp.objects.exists()
    assert not Notice.objects.exists()


def test_somebody_active_is_let_in_by_single_opt_in_and_asked_by_double(alice: Account) -> None:
    on_file(alice, "active")
    ask(make_form(alice, "single"))
    assert (added(), Notice.objects.count()) == (ALL, 0)
    Tagging.objects.all().delete()
    double = forms.create(alice.pk, {"name": "Other", "tag_ids": [make_tag(alice).pk]}, MONDAY_9)
    ask(double)
    assert (ann().state, Tagging.objects.count(), Notice.objects.count()) == ("active", 0, 1)
    click()
    assert (ann().state, Tagging.objects.count()) == ("active", 1)


def test_the_same_address_in_another_account_is_somebody_else(alice: Account) -> None:
    make_subscriber(make_account("Mallory"), email_address=ANN, state="complained")
    ask(make_form(alice, "single"))
    assert Subscriber.objects.get(account=alice).state == "active"


@pytest.mark.parametrize("state", MUST_CLICK)
def test_enrollments_that_ended_stay_ended(alice: Account, state: str) -> None:
    course = make_sequence(alice, {"delay_value": 1})
    person = on_file(alice, "active")
    enroll.add(course, [person.pk], "api", MONDAY_9 - 2 * DAY)
    if state == "bounced":
        transitions.bounce(person.pk, MONDAY_9 - DAY)
    else:
        transitions.cancel(person.pk, MONDAY_9 - DAY)
    ask(make_form(alice))
    click()
    assert Enrollment.objects.get(sequence=course).status == "removed"


def test_who_is_in_the_sequence_already_goes_on_where_they_are(alice: Account) -> None:
    """R12: a form restarts nobody, also where the sequence repeats."""
    form = make_form(alice, "single")
    person = on_file(alice, "active")
    sequence = alice.sequences.get()
    alice.sequences.update(repeat=True)
    enroll.add(sequence, [person.pk], "api", MONDAY_9 - DAY)
    ask(form)
    place = Enrollment.objects.get()
    assert (place.run, place.entered_at, place.source) == (1, MONDAY_9 - DAY, "api")


def test_what_is_caused_says_by_which_form(alice: Account) -> None:
    form = make_form(alice)
    ask(form)
    click()
    assert {tuple(row.cause) for row in Event.objects.filter(subscriber_id=ann().pk)} == {(f"form {form.pk}",)}
    assert Enrollment.objects.get().source == "form"


def test_they_come_in_by_the_form_when_they_click(alice: Account) -> None:
    """What waits for `form_joined` must not begin for somebody who never confirms."""
    joined = Event.objects.filter(type=types.SUBSCRIBED_TO_FORM)
    ask(make_form(alice))
    assert not joined.exists()
    click()
    click()
    assert joined.count() == 1


# --- What was typed ---------------------------------------------------------------------------------------------------


def test_a_stranger_changes_nothing_that_is_known_of_somebody(alice: Account) -> None:
    form = make_form(alice, "single")
    field_id = str(form.field_ids[0])
    on_file(alice, "active", first_name="Ann", fields={})
    ask(form, first_name="Rude", fields={"company": "Caves Ltd"})
    assert (ann().first_name, ann().fields) == ("Ann", {field_id: "Caves Ltd"})
    ask(form, fields={"company": "Rude Ltd"})
    assert ann().fields == {field_id: "Caves Ltd"}


def test_who_clicks_has_said_it_themselves(alice: Account) -> None:
    form = make_form(alice)
    on_file(alice, "active", first_name="Old", fields={str(form.field_ids[0]): "Old Ltd"})
    ask(form, first_name="Ann", fields={"company": "Caves Ltd"})
    assert ann().first_name == "Old"
    click()
    assert (ann().first_name, list(ann().fields.values())) == ("Ann", ["Caves Ltd"])


def test_a_field_that_the_form_does_not_ask_is_passed_over(alice: Account) -> None:
    form = make_form(alice, "single", asks_first_name=False, field_ids=[])
    ask(form, first_name="Ann", fields={"company": "Caves Ltd"})
    assert (ann().first_name, ann().fields) == (None, {})


def test_a_field_keeps_its_name_when_its_key_changes(alice: Account) -> None:
    """What was pasted into a page goes on working."""
    form = make_form(alice, "single")
    field = alice.custom_fields.get()
    fields.rename(field, {"label": "Employer"})
    ask(form, fields={field.name: "Caves Ltd"})
    assert list(ann().fields.values()) == ["Caves Ltd"]


def test_kits_own_form_fits(alice: Account) -> None:
    ask(make_form(alice, "single"), fields={"first_name": "Ann"})
    assert ann().first_name == "Ann"


def test_who_has_as_much_on_file_as_fits_is_let_in_all_the_same(alice: Account) -> None:
    form = make_form(alice, "single")
    full = {"999": "x" * (subscribe.MAX_VALUES - 10)}
    on_file(alice, "active", fields=full)
    ask(form, fields={"company": "x" * 500})
    assert (ann().fields, added()) == (full, ALL)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"email_address": ""}, "Email address can't be blank"),
        ({"email_address": None}, "Email address can't be blank"),
        ({"email_address": "ann"}, "Email address is invalid"),
        ({"email_address": "a\x00nn@example.org"}, "email_address must not contain NUL characters"),
        ({"email_address": ["ann@example.org"]}, "Email address must be a string"),
        ({"first_name": "x" * 256}, r"First name is too long \(maximum is 255 characters\)"),
        ({"fields": {"first_name": "x" * 256}}, r"First name is too long \(maximum is 255 characters\)"),
        ({"fields": {"company": "x" * 2001}}, r"Company is too long \(maximum is 2000 characters\)"),
        ({"fields": {"company": 7}}, "fields.company must be a string"),
        ({"fields": "x"}, "fields must be an object"),
    ],
)
def test_what_cannot_be_kept_is_refused(alice: Account, typed: dict[str, Any], sentence: str) -> None:
    form = make_form(alice, "single")
    with pytest.raises(Invalid, match=sentence):
        ask(
            form,
            **{"address": ANN, **({"address": typed.pop("email_address")} if "email_address" in typed else {})},
            **typed,
        )
    assert not Subscriber.objects.exists()


# --- The mail ---------------------------------------------------------------------------------------------------------


def test_it_says_what_the_owner_wrote_and_nothing_that_was_typed(alice: Account, engine: Engine) -> None:
    texts = {"confirmation_subject": "Da?", "confirmation_text": "Ein Klick {noch}\n\n<b>", "confirmation_button": "Ja"}
    ask(make_form(alice, **texts), first_name="Win a prize", now=engine.clock.now())
    engine.run()
    [message] = engine.mail.messages
    mail = message_from_bytes(message.data, policy=policy.default)
    plain, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert (mail["Subject"], mail["To"]) == ("Da?", ANN)
    link = identity.confirm_url(SignUp.objects.get().pk)
    assert "Ein Klick {noch}\n\n<b>" in plain and link in plain
    assert "<p>&lt;b&gt;</p>" in html and link in html and ">Ja</a>" in html
    assert "prize" not in plain + html


def test_one_address_is_asked_once_in_five_minutes_whatever_is_posted(alice: Account) -> None:
    form = make_form(alice)
    for second in range(0, 299, 23):
        ask(form, now=MONDAY_9 + timedelta(seconds=second), first_name=f"Ann {second}")
    assert (Notice.objects.count(), SignUp.objects.get().first_name) == (1, "Ann 0")
    ask(form, now=MONDAY_9 + 5 * MINUTE)
    assert Notice.objects.count() == 2


def test_another_form_asks_by_itself(alice: Account) -> None:
    ask(make_form(alice))
    ask(forms.create(alice.pk, {"name": "Other"}, MONDAY_9))
    assert Notice.objects.count() == 2


def test_one_address_is_asked_five_times_a_day(alice: Account) -> None:
    form = make_form(alice)
    for number in range(50):
        ask(form, now=MONDAY_9 + number * 5 * MINUTE)
    assert Notice.objects.count() == 5
    assert click(MONDAY_9 + 5 * 60 * MINUTE), "the newest mail is good"
    ask(form, now=MONDAY_9 + DAY + 30 * MINUTE)
    assert Notice.objects.count() == 6


def test_an_address_no_mail_can_go_to_is_refused_whoever_has_it(alice: Account, monkeypatch: Any) -> None:
    form = make_form(alice)
    odd = Asked("b ob@example.org")
    with pytest.raises(Invalid, match="Email address is invalid"):
        acts.ask(form, odd, MONDAY_9)
    assert not Subscriber.objects.exists()


# --- The link ---------------------------------------------------------------------------------------------------------


def test_a_second_click_changes_nothing(alice: Account) -> None:
    ask(make_form(alice))
    assert [click(), click(MONDAY_9 + DAY)] == [True, False]
    assert SignUp.objects.get().ended_at == MONDAY_9


def test_it_lapses_after_thirty_days(alice: Account) -> None:
    ask(make_form(alice))
    assert not click(MONDAY_9 + 30 * DAY + MINUTE)
    assert ann().state == "inactive"
    assert click(MONDAY_9 + 30 * DAY)


def test_only_the_newest_mail_of_a_form_confirms(alice: Account) -> None:
    form = make_form(alice)
    ask(form, first_name="Rude")
    first = SignUp.objects.get()
    ask(form, first_name="Ann", now=MONDAY_9 + DAY)
    assert not click(MONDAY_9 + DAY, first)
    assert click(MONDAY_9 + DAY)
    assert ann().first_name == "Ann"


def test_a_link_of_one_form_leaves_the_other_waiting(alice: Account) -> None:
    other = forms.create(alice.pk, {"name": "Other", "tag_ids": [make_tag(alice).pk]}, MONDAY_9)
    ask(other)
    ask(make_form(alice))
    click()
    assert SignUp.objects.get(form=other).status == "waiting"
    assert not Tagging.objects.filter(tag_id=other.tag_ids[0]).exists()


def test_a_mail_to_an_address_they_had_confirms_nothing(alice: Account) -> None:
    ask(make_form(alice))
    Subscriber.objects.update(email_address="new@example.org")
    assert not click()
    assert Subscriber.objects.get().state == "inactive"


@pytest.mark.parametrize("act", [transitions.cancel, transitions.complain])
def test_whoever_leaves_takes_back_what_waited(alice: Account, act: Any) -> None:
    on_file(alice, "active")
    ask(make_form(alice))
    act(ann().pk, MONDAY_9 + MINUTE)
    assert not click(MONDAY_9 + 2 * MINUTE)
    assert (SignUp.objects.get().status, added()) == ("withdrawn", NOTHING)


def test_an_owner_who_unsubscribes_them_again_ends_what_waited(alice: Account) -> None:
    on_file(alice, "cancelled")
    ask(make_form(alice))
    assert not transitions.cancel(ann().pk, MONDAY_9, cause=causes.OWNER)
    assert not click()
    assert ann().state == "cancelled"


def test_a_bounce_between_leaves_the_link_good(alice: Account) -> None:
    """The mail that asked has arrived, since somebody clicked in it."""
    ask(make_form(alice))
    transitions.bounce(ann().pk, MONDAY_9)
    assert click()
    assert ann().state == "active"


def test_what_was_deleted_is_passed_over(alice: Account) -> None:
    form = make_form(alice)
    ask(form, fields={"company": "Caves Ltd"})
    fields.delete(alice.custom_fields.get(), MONDAY_9, cause=causes.OWNER)
    alice.tags.all().delete()
    alice.sequences.update(deleted_at=MONDAY_9)
    assert click()
    assert (ann().state, added()) == ("active", (True, False, False))


def test_a_paused_sequence_takes_them_in(alice: Account) -> None:
    form = make_form(alice, "single")
    alice.sequences.update(active=False)
    ask(form)
    assert added() == ALL


def test_a_link_outlives_its_form(alice: Account) -> None:
    """Whoever was asked while it was open may still say yes."""
    form = make_form(alice)
    ask(form)
    forms.set_status(form, Form.Status.TRASHED)
    assert click()
    assert added() == ALL


# --- Asked by the API, and owners -------------------------------------------------------------------------------------


def test_the_mail_that_the_api_asks_for_confirms_without_a_form(alice: Account) -> None:
    person = on_file(alice, "inactive")
    notices.confirmation(person.pk, MONDAY_9)
    assert click()
    assert (ann().state, FormSubscription.objects.count()) == ("active", 0)


def test_only_the_newest_mail_that_the_api_asked_for_confirms(alice: Account) -> None:
    person = on_file(alice, "inactive")
    notices.confirmation(person.pk, MONDAY_9)
    first = SignUp.objects.get()
    notices.confirmation(person.pk, MONDAY_9 + 5 * MINUTE)
    assert [click(MONDAY_9 + 6 * MINUTE, first), click(MONDAY_9 + 6 * MINUTE)] == [False, True]


def test_an_owner_says_why_somebody_who_complained_may_be_mailed(alice: Account) -> None:
    on_file(alice, "complained")
    assert transitions.reinstate(ann().pk, "Called, and wants it back", MONDAY_9)
    assert ann().state == "active"
    told = Event.objects.get(type=types.SUBSCRIBER_RESUBSCRIBED)
    assert (told.cause, told.data) == (["owner"], {"why": "Called, and wants it back"})


@pytest.mark.parametrize("state", ["active", "inactive", "cancelled", "bounced"])
def test_owners_answer_for_nobody_else(alice: Account, state: str) -> None:
    on_file(alice, state)
    assert not transitions.reinstate(ann().pk, "because", MONDAY_9)
    assert ann().state == state
