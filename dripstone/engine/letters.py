"""The letters of claimed deliveries: the emails of sequences, each compiled once for all its readers, and notices,
whose message is finished already. A broadcast will be a Letter too.

Takes       claimed deliveries
Leaves      a letter per email, with its list, sender, zone and edition; the notices unchanged. Writes editions, and
            what compiling made (content/precompiled.py)
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from collections.abc import Sequence as Series
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models.functions import Coalesce

from dripstone.accounts.models import SendingAddress
from dripstone.content import precompiled
from dripstone.content.compile import CompiledEmail, EmailSource, SnippetSource, compile_email
from dripstone.content.models import EmailTemplate
from dripstone.content.models import Snippet as SnippetRow
from dripstone.engine import editions, identity
from dripstone.engine.claim import Claimed
from dripstone.engine.editions import Print, Snippet, Template
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

READY_AT_ONCE = 100  # emails of a sequence, which may be 200 KB each


@dataclass(frozen=True, slots=True)
class Letter:
    """One email for any number of people. `compiled` has its sender; `date` is this instant in the zone of its
    sequence, for Date and for `now` in Liquid. `edition_id`: None of what is not sent to anybody on a list."""

    compiled: CompiledEmail
    date: datetime
    list_id: str
    edition_id: int | None = None


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
    change: int  # SequenceEmail.version
    subject: str
    preview_text: str | None
    content: str | None
    own_template_id: int | None
    template_id: int | None  # its own, or its sequence's
    time_zone: str
    from_name: str
    from_address: str
    postal_address: str
    language: str
    direction: str
    per_second: int | None
    per_day: int | None


def of(batch: Series[Claimed], now: datetime) -> Letters:
    """A fixed number of queries, whatever the batch; those about notices only if there are any."""
    emails = _emails({row.email_id for row in batch if row.email_id is not None})
    notices = _notices({row.notice_id for row in batch if row.notice_id is not None})
    limits = {email.account_id: Limit(email.per_second, email.per_day) for email in emails}
    for notice in notices:
        if notice.account is None:
            continue  # about accounts: of none of them
        limits[notice.account.pk] = Limit(notice.account.per_second, notice.account.per_day)
    return Letters(
        emails=_letters(emails, now, _precompiled_versions, _editions),
        notices={notice.pk: notice for notice in notices},
        limits={pk: limit for pk, limit in limits.items() if not limit.is_none},
    )


def of_email(email: SequenceEmail, now: datetime) -> Letter | None:
    """The same for one email, which may have values that are not saved. It has no edition."""
    sequence, account = email.sequence, email.account
    sender = sequence.sending_address
    row = _Email(
        email.pk,
        email.account_id,
        email.sequence_id,
        email.version,
        email.subject,
        email.preview_text,
        email.content,
        email.email_template_id,
        email.email_template_id or sequence.email_template_id,
        sequence.time_zone,
        sender.from_name,
        sender.email_address,
        account.postal_address,
        account.language,
        account.direction,
        account.per_second,
        account.per_day,
    )
    return _letters([row], now)[email.pk]


def make_ready(sequence_id: int, now: datetime) -> None:
    """Compiles the published emails of a sequence before anybody reads them, so that who sends them need not. What is
    there already costs a row read."""
    published = SequenceEmail.objects.filter(sequence=sequence_id, published=True, deleted_at=None).order_by("position")
    ids = list(published.values_list("pk", flat=True))
    for start in range(0, len(ids), READY_AT_ONCE):
        _letters(_emails(ids[start : start + READY_AT_ONCE]), now, _precompiled_versions)


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
        "version",
        "subject",
        "preview_text",
        "content",
        "email_template_id",
        Coalesce("email_template_id", "sequence__email_template_id"),
        "sequence__time_zone",
        "sequence__sending_address__from_name",
        "sequence__sending_address__email_address",
        "account__postal_address",
        "account__language",
        "account__direction",
        "account__per_second",
        "account__per_day",
    )
    return [_Email._make(row) for row in rows]


def _notices(ids: Collection[int]) -> list[Notice]:
    return list(Notice.objects.select_related("account").filter(pk__in=ids)) if ids else []


@dataclass(slots=True)
class _Made:
    """An email, what goes into it besides, and what came out.

    parts   what an edition depends on besides the texts, which are the version's: whose they are, and how often changed
    """

    email: _Email
    template: Template | None
    snippets: tuple[Snippet, ...]
    version: "_Version"
    parts: Hashable


Editions = Callable[[list[_Made], datetime], dict[int, int]]


def _no_editions(made: list[_Made], now: datetime) -> dict[int, int]:
    return {}


def _letters(
    emails: Series[_Email],
    now: datetime,
    versions_of: "Versions | None" = None,
    editions_of: Editions = _no_editions,
) -> dict[int, Letter | None]:
    """Compiling happens once per version of everything an email is made of."""
    made = _all_made(emails, now, versions_of or _unkept_versions)
    edition_ids = editions_of(made, now)
    letters: dict[int, Letter | None] = {email.email_id: None for email in emails}
    for one in made:
        letters[one.email.email_id] = Letter(
            one.version.compiled,
            now.astimezone(ZoneInfo(one.email.time_zone)),
            identity.list_id(one.email.sequence_id),
            edition_ids.get(one.email.email_id),
        )
    return letters


def _all_made(emails: Series[_Email], now: datetime, versions_of: "Versions") -> list[_Made]:
    """Without those whose sender cannot be written in a header."""
    if not emails:
        return []
    templates = _templates(emails)
    snippets = _snippets({email.account_id for email in emails})
    texts = {account_id: tuple(row[2:] for row in rows) for account_id, rows in snippets.items()}
    changes = {account_id: tuple(row[:2] for row in rows) for account_id, rows in snippets.items()}
    keys = {email.email_id: _key(email, templates[email.email_id], texts.get(email.account_id, ())) for email in emails}
    versions = versions_of({keys[email.email_id]: email.account_id for email in emails}, now)
    made = []
    for email in emails:
        template, account_id = templates[email.email_id], email.account_id
        parts = (email.email_id, email.change, template and template[:2], changes.get(account_id), email.time_zone)
        if version := versions.get(keys[email.email_id]):
            made.append(_Made(email, template, snippets.get(account_id, ()), version, parts))
    return made


def _key(email: _Email, template: Template | None, texts: tuple[tuple[Any, ...], ...]) -> "_Key":
    html = template.html if template else None
    return (
        _Body(email.subject, email.preview_text, email.content, html, texts, email.language, email.direction),
        _Sender(email.from_name, email.from_address, email.postal_address),
    )


def _editions(made: list[_Made], now: datetime) -> dict[int, int]:
    """By email. This process remembers those of the letters it keeps."""
    new = editions.of({one.parts: _print(one) for one in made if one.parts not in one.version.editions}, now)
    for one in made:
        if one.parts in new:
            one.version.editions[one.parts] = new[one.parts]
    return {one.email.email_id: one.version.editions[one.parts] for one in made}


def _print(one: _Made) -> Print:
    email = one.email
    return Print(
        account_id=email.account_id,
        email_id=email.email_id,
        change=email.change,
        subject=email.subject,
        preview_text=email.preview_text,
        content=email.content,
        template_id=email.own_template_id,
        template=one.template,
        snippets=one.snippets,
        from_name=email.from_name,
        from_address=email.from_address,
        postal_address=email.postal_address,
        time_zone=email.time_zone,
        language=email.language,
        direction=email.direction,
    )


def _templates(emails: Series[_Email]) -> dict[int, Template | None]:
    """By email: its own template, its sequence's, or its account's default; None where there is none."""
    ids = {email.template_id for email in emails if email.template_id is not None}
    without = {email.account_id for email in emails if email.template_id is None}
    rows = EmailTemplate.objects.values_list("account_id", "pk", "version", "html")
    chosen = rows.filter(pk__in=ids) if ids else ()
    defaults = rows.filter(account__in=without, is_default=True) if without else ()
    own = {pk: Template(pk, change, html) for _, pk, change, html in chosen}
    default = {account_id: Template(pk, change, html) for account_id, pk, change, html in defaults}
    return {
        email.email_id: default.get(email.account_id) if email.template_id is None else own.get(email.template_id)
        for email in emails
    }


def _snippets(account_ids: Iterable[int]) -> dict[int, tuple[Snippet, ...]]:
    """By account: all of its snippets, in the order of their keys."""
    found: dict[int, list[Snippet]] = defaultdict(list)
    rows = SnippetRow.objects.filter(account_id__in=account_ids).order_by("key")
    for account_id, pk, change, key, kind, content, html in rows.values_list(
        "account_id", "pk", "version", "key", "snippet_type", "content", "value_html"
    ):
        source = (content if kind == SnippetRow.Type.INLINE else html) or ""
        found[account_id].append(Snippet(pk, change, key, kind, source))
    return {account_id: tuple(rows) for account_id, rows in found.items()}


# --- Versions ---------------------------------------------------------------------------------------------------


class _Body(NamedTuple):
    """All that a letter depends on but its sender, as a cache key: same values, same letter, in whichever account."""

    subject: str
    preview_text: str | None
    content: str | None
    template_html: str | None
    snippets: tuple[tuple[Any, ...], ...]  # key, kind and source of each of the account's
    language: str
    direction: str


class _Sender(NamedTuple):
    from_name: str
    from_address: str
    postal_address: str


_Key = tuple[_Body, _Sender]


@dataclass(slots=True)
class _Version:
    compiled: CompiledEmail
    editions: dict[Hashable, int] = field(default_factory=dict)  # ids, by _Made.parts


Versions = Callable[[Mapping[_Key, int], datetime], dict[_Key, _Version]]

_bodies: Kept[_Body, CompiledEmail] = Kept(MOST_BYTES // 2)
_versions: Kept[_Key, _Version] = Kept(MOST_BYTES // 2)


def _precompiled_versions(wanted: Mapping[_Key, int], now: datetime) -> dict[_Key, _Version]:
    """Without those whose sender's address cannot be written in a header. From this process's memory, else from the
    database, else compiled and kept in both.

    wanted  with the id of an account that sends it
    """
    known = _remembered(wanted)
    sources = {key: _source(*key) for key in wanted if key not in known}
    digests = {key: precompiled.digest(wanted[key], source) for key, source in sources.items()}
    rows = precompiled.read(digests.values(), now)
    new = {}
    for key, source in sources.items():
        with suppress(ValueError):
            packed = rows.get(digests[key])
            compiled = precompiled.unpack(source, packed) if packed else None
            if compiled is None:
                compiled = _compiled(key[0], source)
                new[digests[key]] = wanted[key], precompiled.pack(compiled)
            known[key] = _remember(key, compiled)
    precompiled.keep(new, now)
    return known


def _unkept_versions(wanted: Mapping[_Key, int], now: datetime) -> dict[_Key, _Version]:
    """The same of texts that may not be saved: nothing is written."""
    known = _remembered(wanted)
    for key in wanted:
        if key not in known:
            with suppress(ValueError):
                known[key] = _remember(key, _compiled(key[0], _source(*key)))
    return known


def _remembered(wanted: Iterable[_Key]) -> dict[_Key, _Version]:
    return {key: version for key in wanted if (version := _versions.get(key)) is not None}


def _remember(key: _Key, compiled: CompiledEmail) -> _Version:
    version = _Version(compiled)
    _versions.keep(key, version, _size(key[0]))
    return version


def _source(body: _Body, sender: _Sender) -> EmailSource:
    return EmailSource(
        subject=body.subject,
        preview_text=body.preview_text,
        content=body.content,
        template_html=body.template_html,
        snippets={key: SnippetSource(kind, text) for key, kind, text in body.snippets},
        language=body.language,
        direction=body.direction,
        **sender._asdict(),
    )


def _compiled(body: _Body, source: EmailSource) -> CompiledEmail:
    """Compiled, or where another account sends the same, addressed anew."""
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
