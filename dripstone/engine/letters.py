"""The letters of claimed deliveries: the emails of sequences, each compiled once for all its readers, and notices,
whose message is finished already. A broadcast will be a Letter too.

Takes       claimed deliveries
Leaves      a letter per email, with its list, sender and zone; the notices unchanged; nothing is written
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models.functions import Coalesce

from dripstone.accounts.models import SendingAddress
from dripstone.content.compile import (
    CompiledEmail,
    EmailSource,
    Envelope,
    Person,
    SnippetSource,
    Written,
    compile_email,
)
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import identity
from dripstone.engine.claim import Claimed
from dripstone.engine.kept import Kept
from dripstone.engine.models import Delivery, Notice
from dripstone.senders.limits import Limit
from dripstone.sequences.models import SequenceEmail

# Compiled emails kept by each process. Measured, stencil included: 32 KB of one with a line of text in the built-in
# template, 90 KB of one with 3,400 characters. Of snippets, all of the account's are held, and few are compiled.
MOST_BYTES = 64 * 2**20
BYTES_EACH = 30_000
BYTES_PER_CHARACTER = 18
BYTES_PER_CHARACTER_OF_SNIPPETS = 2

# A stencil saves time from about the fifth message on, and before that it costs some: who sends a letter to one person
# a week should not pay for it. So the first readers' messages are rendered.
FEW_READERS = 4


@dataclass(frozen=True, slots=True)
class Letter:
    """One email for any number of people. `compiled` has its sender; `date` is this instant in the zone of its
    sequence, for Date and for `now` in Liquid."""

    compiled: CompiledEmail
    date: datetime
    list_id: str
    is_read_by_many: bool

    def written(self, person: Person, envelope: Envelope, *, eight_bit: bool) -> Written:
        """The message; the same content either way."""
        if self.is_read_by_many:
            return self.compiled.written(person, envelope, eight_bit=eight_bit)
        rendered = self.compiled.render(person, envelope, eight_bit=eight_bit)
        return Written(rendered.data, rendered.warnings)


@dataclass(frozen=True, slots=True)
class Letters:
    emails: dict[int, Letter | None]  # by id of the sequence's email; None: it cannot be written as mail
    notices: dict[int, Notice]
    limits: dict[int, Limit]  # by account id, of those that have one: how much may go


class _Email(NamedTuple):
    """An email with all that surrounds it, but for its template and its account's snippets."""

    email_id: int
    account_id: int
    sequence_id: int
    subject: str
    preview_text: str | None
    content: str | None
    template_id: int | None
    time_zone: str
    from_name: str
    from_address: str
    postal_address: str
    per_second: int | None
    per_day: int | None


def of(batch: Series[Claimed], now: datetime) -> Letters:
    """A fixed number of queries, whatever the batch; those about notices only if there are any."""
    n_readers = Counter(row.email_id for row in batch if row.email_id is not None)
    emails = _emails(n_readers)
    notices = _notices({row.notice_id for row in batch if row.notice_id is not None})
    limits = {email.account_id: Limit(email.per_second, email.per_day) for email in emails}
    for notice in notices:
        limits[notice.account_id] = Limit(notice.account.per_second, notice.account.per_day)
    return Letters(
        emails=_letters(emails, n_readers, now),
        notices={notice.pk: notice for notice in notices},
        limits={pk: limit for pk, limit in limits.items() if not limit.is_none},
    )


def of_email(email: SequenceEmail, now: datetime) -> Letter | None:
    """The same for one email, which may have values that are not saved."""
    sequence, account = email.sequence, email.account
    sender = sequence.sending_address
    row = _Email(
        email.pk,
        email.account_id,
        email.sequence_id,
        email.subject,
        email.preview_text,
        email.content,
        email.email_template_id or sequence.email_template_id,
        sequence.time_zone,
        sender.from_name,
        sender.email_address,
        account.postal_address,
        account.per_second,
        account.per_day,
    )
    return _letters([row], {email.pk: 0}, now)[email.pk]


def sending_address(delivery: Delivery) -> SendingAddress:
    """The sending address: the list's own, else the account's default."""
    if delivery.sequence is not None:
        return delivery.sequence.sending_address
    return SendingAddress.objects.get(account_id=delivery.account_id, is_default=True)


def _emails(ids: Collection[int]) -> list[_Email]:
    """Columns, not model instances: a batch may be five hundred letters to one person each."""
    if not ids:
        return []
    rows = SequenceEmail.objects.filter(pk__in=ids).values_list(
        "pk",
        "account_id",
        "sequence_id",
        "subject",
        "preview_text",
        "content",
        Coalesce("email_template_id", "sequence__email_template_id"),
        "sequence__time_zone",
        "sequence__sending_address__from_name",
        "sequence__sending_address__email_address",
        "account__postal_address",
        "account__per_second",
        "account__per_day",
    )
    return [_Email._make(row) for row in rows]


def _notices(ids: Collection[int]) -> list[Notice]:
    return list(Notice.objects.select_related("account").filter(pk__in=ids)) if ids else []


def _letters(emails: Series[_Email], n_readers: Mapping[int, int], now: datetime) -> dict[int, Letter | None]:
    """Compiling happens once per version of everything an email is made of."""
    if not emails:
        return {}
    templates = _templates(emails)
    snippets = _snippets({email.account_id for email in emails})
    letters: dict[int, Letter | None] = {}
    for email in emails:
        body = _Body(
            email.subject, email.preview_text, email.content, templates[email.email_id], snippets[email.account_id]
        )
        sender = _Sender(email.from_name, email.from_address, email.postal_address)
        try:
            version = _version(body, sender)
            version.n_readers += n_readers[email.email_id]
            letters[email.email_id] = Letter(
                version.compiled,
                now.astimezone(ZoneInfo(email.time_zone)),
                identity.list_id(email.sequence_id),
                version.n_readers > FEW_READERS,
            )
        except ValueError:
            letters[email.email_id] = None
    return letters


def _templates(emails: Series[_Email]) -> dict[int, str | None]:
    """By email: the HTML of its own template, its sequence's, or its account's default; None where there is none."""
    ids = {email.template_id for email in emails if email.template_id is not None}
    without = {email.account_id for email in emails if email.template_id is None}
    own = dict(EmailTemplate.objects.filter(pk__in=ids).values_list("pk", "html")) if ids else {}
    defaults = EmailTemplate.objects.filter(account__in=without, is_default=True).values_list("account_id", "html")
    default = dict(defaults) if without else {}
    return {
        email.email_id: default.get(email.account_id) if email.template_id is None else own.get(email.template_id)
        for email in emails
    }


_Snippets = tuple[tuple[str, str, str], ...]


def _snippets(account_ids: Iterable[int]) -> dict[int, _Snippets]:
    """By account: key, type and body of each."""
    found: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    rows = Snippet.objects.filter(account_id__in=account_ids).order_by("key")
    for account_id, key, kind, content, html in rows.values_list(
        "account_id", "key", "snippet_type", "content", "value_html"
    ):
        found[account_id].append((key, kind, (content if kind == Snippet.Type.INLINE else html) or ""))
    return defaultdict(tuple, {account_id: tuple(rows) for account_id, rows in found.items()})


# --- Versions ---------------------------------------------------------------------------------------------------


class _Body(NamedTuple):
    """All that a letter depends on but its sender, as a cache key: same values, same letter, in whichever account."""

    subject: str
    preview_text: str | None
    content: str | None
    template_html: str | None
    snippets: _Snippets


class _Sender(NamedTuple):
    from_name: str
    from_address: str
    postal_address: str


@dataclass(slots=True)
class _Version:
    compiled: CompiledEmail
    n_readers: int = 0  # so far, in this process


_bodies: Kept[_Body, CompiledEmail] = Kept(MOST_BYTES // 2)
_versions: Kept[tuple[_Body, _Sender], _Version] = Kept(MOST_BYTES // 2)


def _version(body: _Body, sender: _Sender) -> _Version:
    """Raises ValueError when the sender's address cannot be written in a header."""
    version = _versions.get((body, sender))
    if version is None:
        version = _Version(_compiled(body, sender))
        _versions.keep((body, sender), version, _size(body))
    return version


def _compiled(body: _Body, sender: _Sender) -> CompiledEmail:
    """Compiled, or where another account sends the same, addressed anew."""
    source = EmailSource(
        subject=body.subject,
        preview_text=body.preview_text,
        content=body.content,
        template_html=body.template_html,
        snippets={key: SnippetSource(kind, text) for key, kind, text in body.snippets},
        **sender._asdict(),
    )
    if (known := _bodies.get(body)) is not None:
        return known.from_sender(source)
    compiled = compile_email(source)
    _bodies.keep(body, compiled, _size(body))
    return compiled


def _size(body: _Body) -> int:
    """About what a compiled letter holds, in bytes."""
    own = sum(len(text or "") for text in (body.subject, body.preview_text, body.content, body.template_html))
    snippets = sum(len(text) for *_, text in body.snippets)
    return BYTES_EACH + BYTES_PER_CHARACTER * own + BYTES_PER_CHARACTER_OF_SNIPPETS * snippets
