"""What pages show, made by hand: a delivery that has ended, a captured message."""

from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery, Edition, Enrollment
from dripstone.senders.models import CapturedMessage
from dripstone.sequences import versions
from dripstone.sequences.models import SequenceEmail
from tests.factories import MONDAY_9


def make_delivery(enrollment: Enrollment, status: str = "sent", **values: Any) -> Delivery:
    """A delivery of the enrollment's first email that has ended."""
    first = enrollment.sequence.emails.order_by("position")[0]
    defaults = {
        "account_id": enrollment.account_id,
        "sequence_id": enrollment.sequence_id,
        "subscriber_id": enrollment.subscriber_id,
        "run": enrollment.run,
        "email": first,
        "attempt": 1,
        "planned_at": MONDAY_9,
        "ended_at": MONDAY_9,
        "sent_at": MONDAY_9 if status == "sent" else None,
    }
    return Delivery.objects.create(enrollment=enrollment, status=status, **(defaults | values))


def make_edition(email: SequenceEmail) -> Edition:
    """What a letter of this email is made of, without template and snippets."""
    sender = email.sequence.sending_address
    return Edition.objects.create(
        account_id=email.account_id,
        email_version=versions.keep(email, MONDAY_9, "owner"),
        from_name=sender.from_name,
        from_address=sender.email_address,
        time_zone=email.sequence.time_zone,
        digest=f"email {email.pk}",
        made_at=MONDAY_9,
    )


def make_message(
    account: Account, to: str = "bob@example.org", subject: str = "Hello", html: str | None = "<p>Hi <b>Bob</b></p>"
) -> CapturedMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Ada Stone <ada@example.com>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["X-Trial"] = "kept"
    mail.set_content("Hi Bob, in plain words")
    if html is not None:
        mail.add_alternative(html, subtype="html")
    return CapturedMessage.objects.create(
        account=account,
        to=to,
        from_address="ada@example.com",
        subject=subject,
        message_id="<1@example.com>",
        sent_at=MONDAY_9,
        raw=mail.as_bytes(),
    )
