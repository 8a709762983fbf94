"""Somebody signs up at a form and clicks in the mail that follows (R12, R15, R20): docs/reference/life-of-a-sign-up.md.

Takes       what a stranger typed into a form; later a click in the mail that went to the address
Leaves      somebody on the list, with what the form adds; or a sign-up that waits for its click, and one mail
A crash here means nothing was asked, or nothing was clicked: each is one transaction.

Locks in the order of all (CONTRIBUTING.md): the sequences that the form adds, the person, their places.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from dripstone.content import mime
from dripstone.engine import enroll, notices, queries, transitions
from dripstone.errors import Invalid
from dripstone.events import causes, types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import Given
from dripstone.sequences.models import Sequence
from dripstone.subscribers import forms, sign_ups, tags
from dripstone.subscribers.forms import Origin, Pair
from dripstone.subscribers.models import Form, FormSubscription, SignUp, State, Subscriber, Tag, locked
from dripstone.subscribers.sign_ups import Asked

A_DAY = timedelta(days=1)
MOST_A_DAY = 5  # mails that ask an address to confirm, from all forms of an account

_COMING = (State.INACTIVE, State.CANCELLED, State.BOUNCED)  # whom only a click lets in, whatever the opt-in says


@transaction.atomic
def ask(form: Form, asked: Asked, now: datetime) -> None:
    """Lets them in, asks them to confirm, or does nothing: the caller learns of none, since it tells strangers.

    Raises Invalid for an address that no mail can go to.
    """
    if mime.mail_address(asked.email_address) is None:
        raise Invalid.member("email_address", "Email address is invalid")
    cause = causes.form(form.pk)
    adds = _hold(form)
    person, is_new = sign_ups.person_of(form, asked, now, cause=cause)
    if person.state == State.COMPLAINED:
        return
    if form.opt_in == Form.OptIn.DOUBLE or person.state in _COMING:
        _ask_to_confirm(form, person, asked, now, cause)
        return
    if not is_new:
        sign_ups.fill_blanks(person, asked, now, cause=cause)
    _add(form, adds, person, asked.origin, now, cause)


def _ask_to_confirm(form: Form, person: Subscriber, asked: Asked, now: datetime, cause: Cause) -> None:
    """Not twice within five minutes, nor more than five times a day: a form that is filled in again and again must not
    fill a stranger's mailbox."""
    of_today = sign_ups.recent(person, now - A_DAY)
    was_just_asked = any(row.form_id == form.pk and row.asked_at > now - notices.NOT_AGAIN_WITHIN for row in of_today)
    if was_just_asked or len(of_today) >= MOST_A_DAY:
        return
    for earlier in sign_ups.waiting(person, form):
        transitions.end_sign_up(earlier, SignUp.Status.REPLACED, now)
    row = sign_ups.begin(person, form, asked, now)
    if person.state == State.INACTIVE:
        forms.join(form, person, asked.origin, now, cause=cause, is_unconfirmed=True)
    notices.ask_to_confirm(row, now)


@transaction.atomic
def add(form: Form, person: Subscriber, given: Given, now: datetime, *, cause: Cause) -> tuple[FormSubscription, bool]:
    """Somebody on file is put on the form, by the API: their place on it, and whether it is new.

    given   `referrer`, the page they came from

    With double opt-in, who is unconfirmed stands on it and is asked to confirm, once: not again while they are on it.
    Whoever else is on file is on it at once; that makes nobody active (R20). Raises Invalid.
    """
    if not (form.opt_in == Form.OptIn.DOUBLE and locked(person.pk).state == State.INACTIVE):
        return forms.add(form, person, given, now, cause=cause)
    origin = forms.read_origin(given)
    present = FormSubscription.objects.filter(form=form, subscriber=person).first()
    return (present, False) if present else (_add_unconfirmed(form, person, origin, now, cause), True)


def add_all(
    account_id: int, asked: Mapping[Pair, Origin], people: Mapping[int, Subscriber], now: datetime, *, cause: Cause
) -> tuple[set[Pair], set[Pair]]:
    """The same for pairs of a form and a person, in so many statements but for those who are asked to confirm. Returns
    those who came in, and those who have to confirm first.

    people   by id, locked by the caller's transaction, which also holds the forms
    """
    double = Form.objects.filter(pk__in={form_id for form_id, _ in asked}, opt_in=Form.OptIn.DOUBLE).in_bulk()
    must_click = {pair for pair in asked if pair[0] in double and people[pair[1]].state == State.INACTIVE}
    at_once = {pair: origin for pair, origin in asked.items() if pair not in must_click}
    came_in, asked_now = forms.join_all(account_id, at_once, now, cause=cause), set[Pair]()
    if must_click:
        rows = FormSubscription.objects.filter(form__in=double, subscriber__in={pk for _, pk in must_click})
        present = set(rows.values_list("form_id", "subscriber_id"))
        for pair, origin in asked.items():
            if pair in must_click - present:
                _add_unconfirmed(double[pair[0]], people[pair[1]], origin, now, cause)
                asked_now.add(pair)
    return came_in, asked_now


def _add_unconfirmed(form: Form, person: Subscriber, origin: Origin, now: datetime, cause: Cause) -> FormSubscription:
    row, _ = forms.join(form, person, origin, now, cause=cause, is_unconfirmed=True)
    if mime.mail_address(person.email_address) is not None:
        _ask_to_confirm(form, person, Asked(person.email_address, origin=origin), now, cause)
    return row


def find(sign_up_id: int) -> SignUp | None:
    rows = SignUp.objects.select_related("form", "subscriber__account")
    return rows.filter(pk=sign_up_id).first()


def is_open(row: SignUp, now: datetime) -> bool:
    """Whether a click confirms it."""
    return sign_ups.is_open(row, now) and row.subscriber.state != State.COMPLAINED


@transaction.atomic
def click(sign_up_id: int, now: datetime) -> bool:
    """The button behind the link: they are active, and the form adds what it adds. False: nothing to confirm."""
    seen = find(sign_up_id)
    if seen is None:
        return False
    adds = _hold(seen.form) if seen.form else []
    person = Subscriber.objects.select_for_update(no_key=True).filter(pk=seen.subscriber_id).first()
    row = find(sign_up_id)  # as it is now that nobody else may end it
    if person is None or row is None or not is_open(row, now):
        return False
    cause = causes.form(row.form.pk) if row.form else causes.SUBSCRIBER
    transitions.end_sign_up(row, SignUp.Status.CONFIRMED, now)
    transitions.come_back(person.pk, now, cause=cause)
    sign_ups.write(person, row, now, cause=cause)
    if row.form is not None:
        _add(row.form, adds, person, forms.origin_of(row), now, cause)
    return True


def _hold(form: Form) -> list[Sequence]:
    """The sequences it adds, locked until the transaction ends as `enroll.add` locks them. Deleted ones are gone."""
    if not form.sequence_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCES_ADDED, {"sequences": form.sequence_ids, "account": form.account_id})
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(Sequence.objects.filter(pk__in=ids).order_by("pk"))


def _add(form: Form, adds: list[Sequence], person: Subscriber, origin: Origin, now: datetime, cause: Cause) -> None:
    """What the form adds to somebody who is active. A paused sequence takes them in, and they wait (R13)."""
    _, is_new = forms.join(form, person, origin, now, cause=cause)
    if not is_new:
        again = types.FORM_FILLED_IN_AGAIN
        record([event(again, form.account_id, now, cause=cause, subscriber_id=person.pk, subject_id=form.pk)])
    for tag in Tag.objects.filter(account=form.account_id, pk__in=form.tag_ids).order_by("pk"):
        tags.add(tag, person, now, cause=cause)
    for sequence in adds:
        enroll.add(sequence, [person.pk], "form", now, cause=cause, door=f"form {form.pk}")
