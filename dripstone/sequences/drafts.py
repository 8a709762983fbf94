"""What is written in an email in the app, and what becomes of it.

Of a published email it stays in the draft, where it reaches nobody, until it is published. An email that is not
published reaches nobody anyway: what is sound goes into the row at once, and the API sees it. What could not be saved
(broken Liquid, a subject that is too long) stays in the draft, with its problems: no check throws words away.

Two people, or two tabs, may write at once. Each has the revision it began with, and who saves over somebody else's is
told (Overtaken) and has written nothing. A revision is two numbers: how often the draft was saved, and what was read as
published: a version, or of an unpublished email, with a minus, the change it had got to.
"""

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.errors import Conflict, Invalid, NotFound, Problem
from dripstone.given import ABSENT, Checked, Given, as_number, is_id
from dripstone.sequences import email_checks, verbs, versions, warnings
from dripstone.sequences.models import EmailDraft, EmailVersion, Sequence, SequenceEmail
from dripstone.sequences.verbs import Edit

MEMBERS = versions.PRINTED
TEXTS = tuple(email_checks.PRINTED)
MOST_KEPT = 1_000_000  # characters of a member, sound or not: what a request may hold

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What an editor shows.

    values      all members: the row's, with what is unpublished laid over
    revision    to be handed back when this is saved, published or thrown away
    is_changed  something is not in the row: of a published email, what is not published yet; of another, what could not
                be saved yet
    published   what people get; None of an email that is not published
    published_meanwhile  the same, if somebody published it after this draft was begun
    clashes     members that both that publication and this draft have changed
    """

    values: dict[str, Any]
    revision: str
    changed: tuple[str, ...]
    saved_at: datetime | None
    saved_by: str
    problems: list[Problem]
    warnings: list[str]
    published: EmailVersion | None
    published_meanwhile: EmailVersion | None = None
    clashes: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        return bool(self.changed)


class Overtaken(Conflict):
    """Somebody else has saved this email meanwhile"""

    def __init__(self, theirs: Draft, yours: Values) -> None:
        """`theirs`: what is there now. `yours`: what was given; it is kept nowhere else."""
        super().__init__()
        self.theirs, self.yours = theirs, dict(yours)


def of(email: SequenceEmail) -> Draft:
    published = versions.current(email)
    return _shown(email, _stored(email), published, _read_now(email, published))


def changed(sequence: Sequence) -> set[int]:
    """Ids of the emails with something unpublished, for a list of them: one query."""
    return {draft.pk for draft in _changed([sequence.pk])}


def n_changed(sequence_ids: Collection[int]) -> Counter[int]:
    """Sequence id → published emails with something unpublished: one query."""
    return Counter(draft.email.sequence_id for draft in _changed(sequence_ids) if draft.email.published)


def _changed(sequence_ids: Collection[int]) -> Iterator[EmailDraft]:
    drafts = EmailDraft.objects.filter(email__sequence__in=sequence_ids, email__deleted_at=None).exclude(values={})
    return (draft for draft in drafts.select_related("email") if _differing(draft.values, _row(draft.email)))


@transaction.atomic
def save(
    account: Account,
    sequence_id: int,
    email_id: int,
    given: Given,
    revision: str,
    now: datetime,
    actor: str = verbs.OWNER,
    tab: str = "",
) -> Draft:
    """Keeps the members given, as often as somebody types.

    tab   a word of its own of the open page: saving again, because the answer to the last time was lost, is no conflict
    Raises Invalid for what is no text (or too long to be kept at all), Overtaken and NotFound.
    """
    yours = _read(given)
    email, draft = _locked(account, sequence_id, email_id)
    published = versions.current(email)
    base = _base(email, draft, revision, tab)
    if base is None:
        return _unless_overtaken(email, draft, published, yours)
    values = _differing({**draft.values, **yours}, base)
    read = revision.partition(".")[2]
    if values != draft.values:
        is_applied = not email.published and _apply(email, values, now)
        _begin(draft, read, published)
        _keep(email, draft, {} if is_applied else values, now, actor, tab)
    return _shown(email, draft, published, read if published else _read_now(email, published))


@transaction.atomic
def discard(
    account: Account, sequence_id: int, email_id: int, revision: str, now: datetime, actor: str = verbs.OWNER
) -> Draft:
    """Back to what is published, or to what could be saved. Raises Overtaken and NotFound."""
    email, draft = _locked(account, sequence_id, email_id)
    published = versions.current(email)
    if _base(email, draft, revision) is None:
        return _unless_overtaken(email, draft, published, _row(email))
    _keep(email, draft, {}, now, actor)
    return _shown(email, draft, published, _read_now(email, published))


def restore(
    account: Account,
    sequence_id: int,
    email_id: int,
    number: int,
    revision: str,
    now: datetime,
    actor: str = verbs.OWNER,
    tab: str = "",
) -> Draft:
    """A version as it was, into the draft. Raises Overtaken, and NotFound for a version that is not there."""
    email = verbs.email_of(_sequence(account, sequence_id), email_id)
    values = versions.values(versions.one(email, number))
    return save(account, sequence_id, email_id, values, revision, now, actor, tab)


@transaction.atomic
def publish(
    account: Account, sequence_id: int, email_id: int, revision: str, now: datetime, actor: str = verbs.OWNER
) -> Edit:
    """The row as the draft has it, and published if it was not: an edit like others, so it goes through
    engine/acts/edits.py.

    Raises Invalid with every problem, NotFound, and Overtaken also when somebody else has published meanwhile.
    """
    sequence = verbs.lock(account, sequence_id)
    email, draft = _locked(account, sequence_id, email_id)
    published = versions.current(email)
    if revision != _revision(draft, _read_now(email, published)):
        raise Overtaken(of(email), _laid_over(email, draft))
    values = _differing(draft.values, _row(email))
    if email.published and not values:
        return Edit(sequence, email)
    done = verbs.update_email(account, sequence_id, email_id, values | {"published": True}, now, actor)
    assert done.email is not None
    _keep(done.email, draft, {}, now, actor)
    return done


@transaction.atomic
def publish_all(account: Account, sequence_id: int, now: datetime, actor: str = verbs.OWNER) -> Edit:
    """Every email that is not published yet, as its draft has it: all of them or none.

    Raises Invalid with every problem, each with the title of its email, and NotFound.
    """
    sequence = verbs.lock(account, sequence_id)
    rows = sequence.emails.filter(published=False, deleted_at=None).order_by("position")
    shown = [(email, of(email)) for email in rows]
    problems = [(None, f"{words.title(email.subject)}: {told}") for email, draft in shown for _, told in draft.problems]
    if problems:
        raise Invalid(problems=problems)
    for email, draft in shown:
        sequence = publish(account, sequence_id, email.pk, draft.revision, now, actor).sequence
    return Edit(sequence, moves_people=bool(shown))


# --- Copies -------------------------------------------------------------------------------------------------------


@transaction.atomic
def duplicate_email(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = verbs.OWNER) -> Edit:
    """As verbs.duplicate_email; the copy says what was written last, published or not."""
    done = verbs.duplicate_email(account, sequence_id, email_id, now, actor)
    assert done.email is not None
    _lay_over({email_id: done.email}, now, actor)
    return done


@transaction.atomic
def duplicate_sequence(account: Account, sequence_id: int, now: datetime, actor: str = verbs.OWNER) -> Edit:
    """The same of verbs.duplicate_sequence."""
    done = verbs.duplicate_sequence(account, sequence_id, now, actor)
    originals = SequenceEmail.objects.filter(sequence=sequence_id, deleted_at=None).values_list("position", "pk")
    ids = dict(originals)
    _lay_over({ids[email.position]: email for email in done.sequence.emails.all()}, now, actor)
    return done


def _lay_over(copies: Mapping[int, SequenceEmail], now: datetime, actor: str) -> None:
    """copies  by the id of the original"""
    for draft in EmailDraft.objects.filter(email__in=copies).exclude(values={}):
        email = copies[draft.email_id]
        if not _apply(email, draft.values, now):
            _keep(email, EmailDraft(email=email), draft.values, now, actor)


# --- What was given -----------------------------------------------------------------------------------------------


def _read(given: Given) -> dict[str, Any]:
    """Texts as they are kept: browsers send other line ends than they were given. Raises Invalid."""
    body = Checked(given)
    for name in TEXTS:
        text = body.take(name)
        if text is None:
            body.values[name] = ""
        elif text is not ABSENT and not isinstance(text, str):
            body.wrong(name, "must be a string")
        elif text is not ABSENT and len(text) > MOST_KEPT:
            body.wrong(name, f"is too long (maximum is {MOST_KEPT} characters)")
        elif text is not ABSENT:
            body.values[name] = _storable(text)
    template_id = body.take("email_template_id", as_number)
    if template_id is None or template_id == 0:
        body.values["email_template_id"] = None
    elif is_id(template_id):
        body.values["email_template_id"] = template_id
    elif template_id is not ABSENT:
        body.wrong("email_template_id", "must be an id")
    return body.sound()


def _storable(text: str) -> str:
    """Without what no keyboard types and no column takes: NUL, halves of surrogate pairs."""
    return _one_line_end(text).replace("\0", "").encode("utf-8", "ignore").decode()


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


# --- What differs -------------------------------------------------------------------------------------------------


def _differing(values: Values, base: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not _is_same(value, base[name])}


def _is_same(one: Any, other: Any) -> bool:
    """Nothing and an empty text are the same, however lines end."""
    one, other = one or "", other or ""
    return bool(one == other or (isinstance(other, str) and one == _one_line_end(other)))


def _row(email: SequenceEmail) -> dict[str, Any]:
    return versions.values(email)


def _laid_over(email: SequenceEmail, draft: EmailDraft) -> dict[str, Any]:
    return _row(email) | _differing(draft.values, _row(email))


# --- Revisions ----------------------------------------------------------------------------------------------------


def _revision(draft: EmailDraft, read: str) -> str:
    return f"{draft.revision}.{read}"


def _read_now(email: SequenceEmail, published: EmailVersion | None) -> str:
    """What somebody reads as published who opens the email now."""
    return str(published.number) if published else f"-{email.version}"


def _base(email: SequenceEmail, draft: EmailDraft, revision: str, tab: str = "") -> Values | None:
    """What the writer took for published. None: somebody else has written since.

    An API call that publishes is no reason to refuse a save, which overwrites nothing of it. What the writer has not
    touched shows that by being as it was in the version they read.
    """
    saves, _, read = revision.partition(".")
    is_own = bool(tab) and draft.tab == tab and draft.email_version == email.version
    if saves != str(draft.revision) and not is_own:
        return None
    if read == f"-{email.version}" or (is_own and not email.published):
        return _row(email)
    base = _version_read(email, read)
    return base if email.published or base == _row(email) else None


def _version_read(email: SequenceEmail, read: str) -> Values | None:
    is_number = read.isascii() and read.isdigit() and len(read) < 10
    version = email.versions.filter(number=int(read)).first() if is_number else None
    return versions.values(version) if version else None


def _unless_overtaken(email: SequenceEmail, draft: EmailDraft, published: EmailVersion | None, yours: Values) -> Draft:
    """Who wrote the same has lost nothing."""
    theirs = _shown(email, draft, published, _read_now(email, published))
    if _differing(yours, theirs.values):
        raise Overtaken(theirs, yours)
    return theirs


# --- Rows ---------------------------------------------------------------------------------------------------------


def _sequence(account: Account, sequence_id: int) -> Sequence:
    found = Sequence.objects.filter(account=account, pk=sequence_id, deleted_at=None).first()
    if found is None:
        raise NotFound
    return found


def _locked(account: Account, sequence_id: int, email_id: int) -> tuple[SequenceEmail, EmailDraft]:
    email = verbs.lock_email(_sequence(account, sequence_id), email_id)
    return email, _stored(email)


def _stored(email: SequenceEmail) -> EmailDraft:
    return EmailDraft.objects.filter(email=email).first() or EmailDraft(email=email)


def _apply(email: SequenceEmail, values: Values, now: datetime) -> bool:
    """Into the row of an email that is not published. False: these values cannot be saved."""
    if email_checks.problems_of(email, values):
        return False
    if values:
        for name, value in values.items():
            setattr(email, name, value)
        email.version, email.updated_at = email.version + 1, now
        email.save(update_fields=[*values, "version", "updated_at"])
    return True


def _begin(draft: EmailDraft, read: str, published: EmailVersion | None) -> None:
    """What was published when the first word of it was written."""
    if not draft.values:
        draft.base = (int(read) if read.isdigit() else published.number) if published else None


def _keep(
    email: SequenceEmail, draft: EmailDraft, values: dict[str, Any], now: datetime, actor: str, tab: str = ""
) -> None:
    draft.values, draft.tab, draft.email_version = values, tab, email.version
    draft.revision += 1
    draft.saved_at, draft.saved_by = now, actor
    draft.save()


def _shown(email: SequenceEmail, draft: EmailDraft, published: EmailVersion | None, read: str) -> Draft:
    differing = _differing(draft.values, _row(email))
    shown = copy.copy(email)
    for name, value in differing.items():
        setattr(shown, name, value)
    meanwhile = published if differing and published and draft.base not in (None, published.number) else None
    return Draft(
        values=_row(shown),
        revision=_revision(draft, read),
        changed=tuple(name for name in MEMBERS if name in differing),
        saved_at=draft.saved_at,
        saved_by=draft.saved_by,
        problems=email_checks.problems_of(email, differing) if differing else [],
        warnings=warnings.of_email(shown),
        published=published,
        published_meanwhile=meanwhile,
        clashes=_clashes(email, draft, differing) if meanwhile else (),
    )


def _clashes(email: SequenceEmail, draft: EmailDraft, differing: Values) -> tuple[str, ...]:
    """Members of the draft that were published otherwise since it was begun."""
    base = _version_read(email, str(draft.base)) or {}
    return tuple(name for name in differing if name in base and not _is_same(getattr(email, name), base[name]))
