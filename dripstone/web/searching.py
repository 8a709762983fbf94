"""What an account has by what somebody types: people, sequences, emails, tags and the rest, each with its page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.content import subjects
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.postgresql import folded
from dripstone.rules.models import Rule
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import finding
from dripstone.subscribers.models import Form, Segment, State, Subscriber, Tag
from dripstone.web import marking
from dripstone.web.marking import Piece


@dataclass(frozen=True, slots=True)
class Hit:
    url: str
    title: list[Piece]
    about: list[Piece]  # one line under it; [] for none


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    hits: list[Hit]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """Things of one kind. `field` is looked in; a hit leads to the page `url_name`."""

    name: str
    rows: Callable[[int], QuerySet[Any]]  # of an account, in the order in which they are shown
    field: str
    url_name: str
    title: Callable[[Any], str]
    about: Callable[[Any], str] = lambda _: ""
    ids: Callable[[Any], list[int]] = lambda row: [row.pk]


def _sequences(account_id: int) -> QuerySet[Sequence]:
    return Sequence.objects.filter(account=account_id, deleted_at=None).order_by("-active", "-pk")


def _emails(account_id: int) -> QuerySet[SequenceEmail]:
    rows = SequenceEmail.objects.filter(account=account_id, deleted_at=None, sequence__deleted_at=None)
    rows = rows.select_related("sequence").only("subject", "published", "sequence__name")
    return rows.order_by("-published", "-sequence", "position")


KINDS = (
    Kind(
        "Sequences", _sequences, "name", "sequence", lambda row: row.name, lambda row: "" if row.active else "Paused"
    ),
    Kind(
        "Emails", _emails, "subject", "sequence_email", lambda row: subjects.readable(row.subject),
        lambda row: f"{row.sequence.name}{'' if row.published else ', draft'}",
        lambda row: [row.sequence_id, row.pk],
    ),
    Kind("Tags", lambda pk: Tag.objects.filter(account=pk).order_by("name", "pk"), "name", "tag", str),
    Kind(
        "Forms", lambda pk: Form.objects.filter(account=pk).exclude(status=Form.Status.TRASHED).order_by("name", "pk"),
        "name", "form", str, lambda row: "Archived" if row.status == Form.Status.ARCHIVED else "",
    ),
    Kind(
        "Rules", lambda pk: Rule.objects.filter(account=pk).order_by("-is_on", "name", "pk"), "name", "rule", str,
        lambda row: "" if row.is_on else "Off",
    ),
    Kind(
        "Automations", lambda pk: Automation.objects.filter(account=pk).order_by("status", "name", "pk"), "name",
        "automation", str, lambda row: {"active": "", "paused": "Paused"}.get(row.status, "Off"),
    ),
    Kind("Segments", lambda pk: Segment.objects.filter(account=pk).order_by("name", "pk"), "name", "segment", str),
    Kind(
        "Snippets", lambda pk: Snippet.objects.filter(account=pk).order_by("archived", "name", "pk"), "name", "snippet",
        str, lambda row: "Archived" if row.archived else "",
    ),
    Kind(
        "Templates", lambda pk: EmailTemplate.objects.filter(account=pk).defer("html").order_by("name", "pk"), "name",
        "template", lambda row: row.name, lambda row: "The default" if row.is_default else "",
    ),
)  # fmt: skip

STATES = {
    State.ACTIVE: "",
    State.INACTIVE: "not confirmed",
    State.CANCELLED: "unsubscribed",
    State.BOUNCED: "bounced",
    State.COMPLAINED: "complained",
}


def everything(account: Account, typed: str, most: int) -> list[Group]:
    """Groups of at most so many hits, without the empty ones; in a fixed number of queries."""
    looked_for = folded.words(typed)
    groups = [_people(account, typed, looked_for, most)]
    if looked_for:
        groups += [_group(kind, account, looked_for, most) for kind in KINDS]
    return [group for group in groups if group.hits]


def _people(account: Account, typed: str, looked_for: list[str], most: int) -> Group:
    ids = finding.ids_with(account.pk, typed, looked_for, most + 1) if typed.strip() else []
    begins = typed.strip().lower()
    hits = [hit for person in finding.in_order(ids[:most]) for hit in _person(person, begins, looked_for)]
    return Group("People", hits, len(ids) > most)


def _person(person: Subscriber, begins: str, looked_for: list[str]) -> Iterator[Hit]:
    address = _marked_beginning(person.email_address, begins)
    state = STATES[State(person.state)]
    more = [Piece(f", {state}" if person.first_name else state.capitalize(), False)] if state else []
    if (url := _page("person", [person.pk])) is not None:
        title = marking.pieces(person.first_name, looked_for) if person.first_name else address
        yield Hit(url, title, [*address, *more] if person.first_name else more)


def _marked_beginning(address: str, begins: str) -> list[Piece]:
    if not begins or not address.startswith(begins):
        return [Piece(address, False)]
    return [piece for piece in (Piece(begins, True), Piece(address[len(begins) :], False)) if piece.text]


def _group(kind: Kind, account: Account, looked_for: list[str], most: int) -> Group:
    rows = list(folded.with_words(kind.rows(account.pk), kind.field, looked_for)[: most + 1])
    hits = [hit for row in rows[:most] for hit in _hits(kind, row, looked_for)]
    return Group(kind.name, hits, len(rows) > most)


def _hits(kind: Kind, row: Any, looked_for: list[str]) -> Iterator[Hit]:
    title, about = " ".join(kind.title(row).split()), kind.about(row)
    if (url := _page(kind.url_name, kind.ids(row))) is not None:
        yield Hit(url, marking.pieces(title, looked_for), [Piece(about, False)] if about else [])


def _page(url_name: str, ids: list[int]) -> str | None:
    """None: things of this kind have no page."""
    try:
        return reverse(url_name, args=ids)
    except NoReverseMatch:
        return None


def in_words(groups: list[Group]) -> str:
    """For who does not see them: how many there are."""
    n = sum(len(group.hits) for group in groups)
    more = " and more" if any(group.has_more for group in groups) else ""
    return f"{words.count(n, 'result')}{more}" if n else "Nothing was found"
