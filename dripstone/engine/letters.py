"""The letters of claimed deliveries: the emails of sequences, each compiled once for all its readers, and notices,
whose message is finished already. A broadcast will be a Letter too.

Takes       claimed deliveries
Leaves      a letter per email, with its list, sender and zone; the notices unchanged; nothing is written
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from dripstone.accounts.models import Account, SendingAddress
from dripstone.content.compile import CompiledEmail, EmailSource, SnippetSource, compile_email
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import identity
from dripstone.engine.claim import Claimed
from dripstone.engine.models import Delivery, Notice
from dripstone.senders.limits import Limit
from dripstone.sequences.models import SequenceEmail

COMPILED_VERSIONS = 256  # kept per process; one holds its templates' source, some tens of KB


@dataclass(frozen=True, slots=True)
class Letter:
    """One email for any number of people. `compiled` has its sender; `date` is this instant in the zone of its
    sequence, for Date and for `now` in Liquid."""

    compiled: CompiledEmail
    date: datetime
    list_id: str


@dataclass(frozen=True, slots=True)
class Letters:
    emails: dict[int, Letter | None]  # by id of the sequence's email; None: it cannot be written as mail
    notices: dict[int, Notice]
    limits: dict[int, Limit]  # by account id, of those that have one: how much may go


def of(batch: Series[Claimed], now: datetime) -> Letters:
    """A fixed number of queries, whatever the batch; those about notices only if there are any."""
    emails = _emails({row.email_id for row in batch if row.email_id is not None})
    notices = _notices({row.notice_id for row in batch if row.notice_id is not None})
    accounts = [email.account for email in emails] + [notice.account for notice in notices]
    limits = {account.pk: Limit(account.per_second, account.per_day) for account in accounts}
    return Letters(
        emails=_letters(emails, now),
        notices={notice.pk: notice for notice in notices},
        limits={pk: limit for pk, limit in limits.items() if not limit.is_none},
    )


def of_email(email: SequenceEmail, now: datetime) -> Letter | None:
    """The same for one email, which may have values that are not saved."""
    return _letters([email], now)[email.pk]


def sending_address(delivery: Delivery) -> SendingAddress:
    """The sending address: the list's own, else the account's default."""
    if delivery.sequence is not None:
        return delivery.sequence.sending_address
    return SendingAddress.objects.get(account_id=delivery.account_id, is_default=True)


def _emails(ids: Collection[int]) -> list[SequenceEmail]:
    rows = SequenceEmail.objects.select_related(
        "email_template", "sequence__email_template", "sequence__sending_address", "account"
    )
    return list(rows.filter(pk__in=ids)) if ids else []


def _notices(ids: Collection[int]) -> list[Notice]:
    return list(Notice.objects.select_related("account").filter(pk__in=ids)) if ids else []


def _letters(emails: Series[SequenceEmail], now: datetime) -> dict[int, Letter | None]:
    """Compiling happens once per version of everything an email is made of."""
    accounts = {email.account_id for email in emails}
    snippets = _snippets(accounts)
    defaults = {row.account_id: row for row in EmailTemplate.objects.filter(account__in=accounts, is_default=True)}
    letters: dict[int, Letter | None] = {}
    for email in emails:
        source = _source(email, defaults.get(email.account_id), snippets[email.account_id])
        try:
            date = now.astimezone(ZoneInfo(email.sequence.time_zone))
            letters[email.pk] = Letter(_compile(source), date, identity.list_id(email.sequence_id))
        except ValueError:
            letters[email.pk] = None
    return letters


def _snippets(account_ids: Iterable[int]) -> dict[int, tuple[tuple[str, str, str], ...]]:
    found: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for snippet in Snippet.objects.filter(account_id__in=account_ids).order_by("key"):
        body = snippet.content if snippet.snippet_type == Snippet.Type.INLINE else snippet.value_html or ""
        found[snippet.account_id].append((snippet.key, snippet.snippet_type, body))
    return defaultdict(tuple, {account_id: tuple(rows) for account_id, rows in found.items()})


@dataclass(frozen=True, slots=True)
class _Source:
    """All that a compiled email depends on, as a cache key: same values, same compilation."""

    subject: str
    preview_text: str | None
    content: str | None
    template_html: str | None
    snippets: tuple[tuple[str, str, str], ...]
    from_name: str
    from_address: str
    postal_address: str


def _source(email: SequenceEmail, default: EmailTemplate | None, snippets: tuple[tuple[str, str, str], ...]) -> _Source:
    template = email.email_template or email.sequence.email_template or default
    account: Account = email.account
    sender = email.sequence.sending_address
    return _Source(
        subject=email.subject,
        preview_text=email.preview_text,
        content=email.content,
        template_html=template.html if template else None,
        snippets=snippets,
        from_name=sender.from_name,
        from_address=sender.email_address,
        postal_address=account.postal_address,
    )


@lru_cache(maxsize=COMPILED_VERSIONS)
def _compile(source: _Source) -> CompiledEmail:
    return compile_email(
        EmailSource(
            subject=source.subject,
            preview_text=source.preview_text,
            content=source.content,
            template_html=source.template_html,
            snippets={key: SnippetSource(kind, body) for key, kind, body in source.snippets},
            from_name=source.from_name,
            from_address=source.from_address,
            postal_address=source.postal_address,
        )
    )
