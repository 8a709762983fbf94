"""Notices: mail to one address with no list behind it. A confirmation is one, a test of an email another.

Takes       somebody to write to
Leaves      a notice with its finished message and its delivery, planned: in the caller's transaction
A crash here means the notice was never asked for: it is all in the caller's transaction.

From the claim on it is a delivery like any other, with three differences: it goes before everything else
(queries.CLAIM), it goes whatever the person's state is (R15 is about lists), and it is in no statistics.

Mail about accounts (invitations, password resets) belongs to no account: its deliveries have account 0, which no key
and no page of an account can ask for. It leaves through a real mail server or not at all (render.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from dripstone import words
from dripstone.accounts import invitations, sending_addresses
from dripstone.accounts.models import Account, Invitation, SendingAddress, User
from dripstone.content import mime
from dripstone.content.liquid import clean
from dripstone.engine import counters, identity, transitions, wake
from dripstone.engine.models import Delivery, Notice
from dripstone.errors import Invalid
from dripstone.senders import ways
from dripstone.subscribers import forms, sign_ups
from dripstone.subscribers.models import Form, SignUp, State, Subscriber, locked

CONFIRMATION, TEST, VERIFICATION = "confirmation", "test", "verification"
INVITATION, SIGN_UP, PASSWORD_RESET = "invitation", "sign_up", "password_reset"
WEBHOOK_OFF = "webhook_off"
OWNER_MAIL = "owner_mail"
NEW_ADDRESS, ADDRESS_CHANGED = "new_address", "address_changed"

NO_ACCOUNT = Delivery.NO_ACCOUNT

NOT_AGAIN_WITHIN = timedelta(minutes=5)
LARGEST_MESSAGE = 1_000_000  # bytes
_FILES = ("subject.txt", "body.txt", "body.html")


@transaction.atomic
def confirmation(subscriber_id: int, now: datetime) -> Delivery:
    """Ask somebody on file to confirm their address, without a form. From the account's default sending address.

    Raises Invalid when there is nothing to confirm, or they were asked less than five minutes ago.
    """
    person = locked(subscriber_id)
    must_wait_for_click(person)
    if Notice.objects.filter(subscriber=person, kind=CONFIRMATION, asked_at__gt=now - NOT_AGAIN_WITHIN).exists():
        raise Invalid("This person was asked to confirm less than 5 minutes ago")
    for earlier in sign_ups.waiting(person, None):
        transitions.end_sign_up(earlier, SignUp.Status.REPLACED, now)
    return ask_to_confirm(sign_ups.begin(person, None, None, now), now)


def ask_to_confirm(row: SignUp, now: datetime) -> Delivery:
    """The mail of a sign-up, to the address that was typed. Nothing else that was typed stands in it."""
    account = row.subscriber.account
    sender = sender_of(account)
    written = confirmation_of(row.form, account, sender, identity.confirm_url(row.pk))
    return _plan(CONFIRMATION, account, sender, row.email_address, written, now, subscriber_id=row.subscriber_id)


def confirmation_of(form: Form | None, account: Account, sender: SendingAddress, confirm_url: str) -> "Written":
    name = sender.from_name or account.name
    context = {
        "subject": forms.said(form, "confirmation_subject", name),
        "text": forms.said(form, "confirmation_text", name),
        "button": forms.said(form, "confirmation_button", name),
        "is_usual": ""
        if form and form.confirmation_text
        else "yes",  # an owner's own text says itself what is to be said
        "language": account.language,
        "direction": account.direction,
        "confirm_url": confirm_url,
        "sender": name,
        "postal_address": account.postal_address,
    }
    return _from_files(CONFIRMATION, context)


def must_wait_for_click(person: Subscriber) -> None:
    """They are unconfirmed, or have signed up since they were something else."""
    if person.state != State.INACTIVE and not person.sign_ups.filter(status=SignUp.Status.WAITING).exists():
        raise Invalid(f"There is nothing to confirm: the subscriber is {person.state}")


def went_only_to(person: Subscriber) -> bool:
    """Whether all that asked them to confirm went to the address they have now."""
    asked = Notice.objects.filter(subscriber=person, kind=CONFIRMATION).values_list("email_address", flat=True)
    return set(asked) == {mime.mail_address(person.email_address)}


@transaction.atomic
def test(
    account: Account, sender: SendingAddress, addresses: Collection[str], written: "Written", now: datetime
) -> list[Delivery]:
    """An email as somebody would get it, to look at: to each of these addresses, with [Test] before its subject."""
    written = replace(written, subject=f"[Test] {written.subject}")
    return [_plan(TEST, account, sender, address, written, now) for address in addresses]


def verification(address: SendingAddress, now: datetime) -> Delivery:
    """Ask whoever reads an address whether the account may send from it. From the account's default address, so it is
    captured in its own inbox while nothing leaves the machine: then no mail goes out in that address's name either."""
    account = address.account
    context = {
        "address": address.email_address,
        "account": account.name,
        "verify_url": sending_addresses.link(address),
        "server": settings.DRIPSTONE_URL,
    }
    written = _from_files(VERIFICATION, context)
    return _plan(VERIFICATION, account, sender_of(account), address.email_address, written, now)


def owner_mail(account: Account, address: str, place: str, text: str, n_people: int, now: datetime) -> Delivery:
    """To an owner, what a rule or an automation has to tell. From the account's default sending address.

    place   who tells it: "the rule “Course page”", "rule 7" of one that is gone
    text    as it is for the first of so many people; "" where that one was deleted meanwhile
    """
    lines = [line for line in text.splitlines() if line.strip()]
    counted = words.people(n_people - 1) if n_people > 1 and text else words.people(n_people)
    context = {
        "account": account.name,
        "place": place,
        "text": text,
        "first_line": mime.one_line(lines[0])[:_LONGEST_SUBJECT] if lines else f"a word of {place}",
        "counted": f"It happened for {counted}{' more' if n_people > 1 and text else ''}.",
        "server": settings.DRIPSTONE_URL,
    }
    return _plan(OWNER_MAIL, account, sender_of(account), address, _from_files(OWNER_MAIL, context), now)


_LONGEST_SUBJECT = 120


# --- Mail about accounts ------------------------------------------------------------------------------------------


def why_no_account_mail() -> str:
    """Why no mail about accounts can be sent, as a sentence for the operator; "" when it can."""
    if ways.is_local(settings.DRIPSTONE_MAIL_URL):
        return "No mail server is set (DRIPSTONE_MAIL_URL), so this server sends no mail about accounts."
    if not settings.DRIPSTONE_FROM:
        return "DRIPSTONE_FROM is not set, so this server sends no mail about accounts."
    return ""


def invitation(row: Invitation, now: datetime) -> Delivery:
    """To somebody who is invited into an account, or who asked to make one of their own."""
    kind = INVITATION if row.account else SIGN_UP
    context = {
        "account": row.account.name if row.account else "",
        "role": row.role,
        "invited_by": row.invited_by.email if row.invited_by else "",
        "url": invitations.link(row),
        "server": settings.DRIPSTONE_URL,
        "days": str(invitations.LASTS.days),
    }
    return _about_accounts(kind, row.email, context, now)


def password_reset(user: User, url: str, now: datetime) -> Delivery:
    context = {"address": user.email, "url": url, "server": settings.DRIPSTONE_URL}
    context["minutes"] = str(settings.PASSWORD_RESET_TIMEOUT // 60)
    return _about_accounts(PASSWORD_RESET, user.email, context, now)


def webhook_off(account: Account, address: str, url: str, since: datetime, now: datetime) -> Delivery:
    """To an owner: a receiver of webhooks has taken nothing since then, and is switched off."""
    context = {
        "account": account.name,
        "url": url,
        "since": words.by_date(since, account.time_zone),
        "server": settings.DRIPSTONE_URL,
    }
    return _about_accounts(WEBHOOK_OFF, address, context, now)


def new_address(user: User, email: str, url: str, now: datetime) -> Delivery:
    """To the address that a user wants to sign in with."""
    context = {"before": user.email, "address": email, "url": url, "server": settings.DRIPSTONE_URL}
    context["minutes"] = str(settings.PASSWORD_RESET_TIMEOUT // 60)
    return _about_accounts(NEW_ADDRESS, email, context, now)


def address_changed(user: User, before: str, now: datetime) -> Delivery:
    """To the address that a user signed in with until now."""
    context = {"before": before, "address": user.email, "server": settings.DRIPSTONE_URL}
    return _about_accounts(ADDRESS_CHANGED, before, context, now)


@transaction.atomic
def _about_accounts(kind: str, address: str, context: dict[str, str], now: datetime) -> Delivery:
    """Raises Invalid when there is no way out for it."""
    if problem := why_no_account_mail():
        raise Invalid(problem)
    name, from_address = settings.DRIPSTONE_FROM or ("", "")
    sender = SendingAddress(from_name=name or "Dripstone", email_address=from_address)
    return _plan(kind, None, sender, address, _from_files(kind, context), now)


@dataclass(frozen=True, slots=True)
class Written:
    """What a notice says."""

    subject: str
    text: str
    html: str


def _from_files(kind: str, context: dict[str, str]) -> Written:
    """The three files of a kind: subject.txt, body.txt, body.html."""
    return Written(*(clean(render_to_string(f"notices/{kind}/{name}", context)) for name in _FILES))


def _plan(
    kind: str,
    account: Account | None,
    sender: SendingAddress,
    address: str,
    written: Written,
    now: datetime,
    *,
    subscriber_id: int | None = None,
) -> Delivery:
    """Three writes, since the message contains an id made from the delivery's."""
    recipient = mime.mail_address(address)
    if recipient is None:
        raise Invalid("The address has no form that mail servers take")
    notice = Notice.objects.create(
        account=account,
        subscriber_id=subscriber_id,
        kind=kind,
        email_address=recipient,
        from_address=mime.mail_address(sender.email_address) or sender.email_address,
        subject=mime.one_line(written.subject),
        asked_at=now,
    )
    delivery = Delivery.objects.create(
        account_id=account.pk if account else NO_ACCOUNT,
        subscriber_id=subscriber_id,
        notice=notice,
        status=Delivery.Status.PLANNED,
        planned_at=now,
        notice_ready_at=now,
    )
    notice.message = _message(notice, delivery, sender, written)
    notice.save(update_fields=["message"])
    counters.on_commit(planned=1)
    wake.senders(1)
    return delivery


def sender_of(account: Account) -> SendingAddress:
    found = account.sending_addresses.filter(is_default=True).first()
    if found is None:
        raise Invalid("The account has no default sending address")
    return found


def _message(notice: Notice, delivery: Delivery, sender: SendingAddress, written: Written) -> bytes:
    """RFC 5322, 7 bit, so that it suits every server. No List-Unsubscribe: there is no list."""
    boundary = f"=_dripstone_notice_{delivery.pk}"
    headers = [
        _from(sender),
        f"To: {notice.email_address}",
        mime.unstructured("Subject", notice.subject),
        mime.date(notice.asked_at.astimezone(ZoneInfo(notice.account.time_zone if notice.account else "UTC"))),
        f"Message-ID: <{identity.message_id(delivery.pk)}>",
        "Auto-Submitted: auto-generated",
    ]
    parts = [
        mime.part("text/plain", written.text, boundary, eight_bit=False),
        mime.part("text/html", written.html, boundary, eight_bit=False),
    ]
    message = mime.alternative(headers, parts, boundary)
    if len(message) > LARGEST_MESSAGE:
        raise Invalid("The message is too long")
    return message


def _from(sender: SendingAddress) -> str:
    try:
        return mime.mailbox("From", sender.from_name, sender.email_address)
    except ValueError:
        raise Invalid("The sending address cannot be written in a mail header") from None


# --- Afterwards -------------------------------------------------------------------------------------------------


def forget(notice_ids: Collection[int]) -> None:
    """Forget the messages of notices that have been sent. Those that failed or are unknown may have to go again."""
    if notice_ids:
        Notice.objects.filter(pk__in=notice_ids).update(message=b"")


def reader(notice_id: int) -> int | None:
    """The subscriber a notice went to; None when there is none (any more), or they have another address by now."""
    notice = Notice.objects.select_related("subscriber").filter(pk=notice_id).first()
    if notice is None or notice.subscriber is None:
        return None
    return notice.subscriber.pk if mime.mail_address(notice.subscriber.email_address) == notice.email_address else None
