"""A template is deleted: what has it gets another one first, by the doors of ordinary edits.

Takes       a template, and the one that takes its place
Leaves      sequences and emails with the other template, nobody moved, the template gone
A crash here means nothing was changed: it is all one transaction.
"""

from datetime import datetime

from django.db import IntegrityError, transaction

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import edits
from dripstone.errors import Conflict, Invalid
from dripstone.given import is_id
from dripstone.sequences.models import Sequence, SequenceEmail

OWNER = "owner"


def delete(
    account: Account, template: EmailTemplate, replacement_id: int | None, now: datetime, actor: str = OWNER
) -> None:
    """replacement_id   None: the account's default, or the built-in template

    Raises Invalid for a replacement that is not there, Conflict when somebody chose the template meanwhile.
    """
    if replacement_id == template.pk:
        raise Invalid.member("replacement_id", "Choose another template than the one that goes")
    if replacement_id is not None and not _is_there(account, replacement_id):
        raise Invalid.member("replacement_id", "Email template not found")
    try:
        with transaction.atomic():
            _replace(account, template, replacement_id, now, actor)
            _forget(template)
            template.delete()
    except IntegrityError as error:
        raise Conflict("Somebody chose this template just now: look again") from error


def refuse_while_used(template: EmailTemplate) -> None:
    """Raises Invalid, with how many have it."""
    n_sequences, n_emails = len(sequences_with(template)), len(emails_with(template))
    counts = [words.count(n, noun) for n, noun in ((n_sequences, "sequence"), (n_emails, "email")) if n]
    if counts:
        verb = words.agree(n_sequences + n_emails, "has", "have")
        raise Invalid(f"{words.listed(counts)} {verb} this template: say which one takes its place")


def sequences_with(template: EmailTemplate) -> list[Sequence]:
    """Those that name it, as their own."""
    return list(Sequence.objects.filter(email_template=template, deleted_at=None).order_by("name", "pk"))


def emails_with(template: EmailTemplate) -> list[SequenceEmail]:
    """The same, of emails."""
    rows = SequenceEmail.objects.filter(email_template=template, deleted_at=None, sequence__deleted_at=None)
    return list(rows.select_related("sequence").order_by("sequence__name", "sequence_id", "position"))


def _is_there(account: Account, template_id: int) -> bool:
    return is_id(template_id) and account.email_templates.filter(pk=template_id).exists()


def _replace(account: Account, template: EmailTemplate, replacement_id: int | None, now: datetime, actor: str) -> None:
    given = {"email_template_id": replacement_id}
    for sequence in sequences_with(template):
        edits.update_sequence(account, sequence.pk, given, now, actor)
    for email in emails_with(template):
        edits.update_email(account, email.sequence_id, email.pk, given, now, actor)


def _forget(template: EmailTemplate) -> None:
    """Deleted emails and sequences keep their rows, and nothing is printed of them any more."""
    Sequence.objects.filter(email_template=template).update(email_template=None)
    SequenceEmail.objects.filter(email_template=template).update(email_template=None)
