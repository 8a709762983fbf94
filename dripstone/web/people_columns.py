"""The columns of the list of people: which a member wants to see, and what stands in them for the people of a page.

Each column is read for all people of a page by a query or two, and only when it is shown.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from dripstone.accounts.models import Account
from dripstone.events import types
from dripstone.subscribers.models import CustomField, Subscriber
from dripstone.web import coming
from dripstone.web.coming import Coming

NEXT, TAGS, SINCE = "next", "tags", "since"
LABELS = {NEXT: "What comes next", TAGS: "Tags", SINCE: "Since"}
USUAL = (NEXT, TAGS, SINCE)
FIELD = "field:"  # and its id
MOST_FIELDS = 6  # in a row there is no room for more
SHOWN_TAGS = 5

# Purpose: a few tags of each of some people, those they got first, and one more to see that there are more. By the
# index on the taggings' subscriber.
_TAGS = """
SELECT person.id, has.name FROM unnest(%(people)s::bigint[]) person (id)
CROSS JOIN LATERAL (
    SELECT tag.name, tagging.id FROM subscribers_tagging tagging JOIN subscribers_tag tag ON tag.id = tagging.tag_id
    WHERE tagging.subscriber_id = person.id ORDER BY tagging.id LIMIT %(most)s) has
ORDER BY person.id, has.id
"""

# Purpose: the form through which each of some people came first. By the index on the subscriptions' subscriber.
_FORMS = """
SELECT person.id, first.name FROM unnest(%(people)s::bigint[]) person (id)
CROSS JOIN LATERAL (
    SELECT form.name FROM subscribers_formsubscription entry JOIN subscribers_form form ON form.id = entry.form_id
    WHERE entry.subscriber_id = person.id ORDER BY entry.id LIMIT 1) first
"""

# Purpose: what brought each of some people, where it is still known. By event_by_subscriber: it is among the first
# events of each.
_CAUSES = """
SELECT person.id, came.cause[1] FROM unnest(%(people)s::bigint[]) person (id)
CROSS JOIN LATERAL (
    SELECT cause FROM events_event e
    WHERE e.subscriber_id = person.id AND e.type = %(type)s ORDER BY e.id LIMIT 1) came
"""

CAME_BY = {"api": "API", "owner": "added by hand", "import": "an import", "bulk": "API, in bulk", "form": "a form"}


@dataclass(frozen=True, slots=True)
class Column:
    """short   its label beside a value, on a phone"""

    key: str
    label: str

    @property
    def short(self) -> str:
        return "Next" if self.key == NEXT else self.label


@dataclass(frozen=True, slots=True)
class Row:
    """One person, with what their page's columns show: `cells` in the order of the columns."""

    person: Subscriber
    cells: list["Cell"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a column: `text`, or what its kind has."""

    column: Column
    text: str = ""
    coming: Coming | None = None
    at: datetime | None = None
    is_cut: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.text and self.coming is None and self.at is None


def available(account: Account) -> list[Column]:
    fields = CustomField.objects.filter(account=account).order_by("label", "pk").values_list("pk", "label")
    return [
        *(Column(key, label) for key, label in LABELS.items()),
        *(Column(f"{FIELD}{pk}", name) for pk, name in fields),
    ]


def chosen(keys: Iterable[str] | None, account: Account) -> list[Column]:
    """Those of `keys` that there are; the usual ones for None. A field that was deleted is left out."""
    wanted = set(USUAL if keys is None else keys)
    named = {key: Column(key, label) for key, label in LABELS.items()}
    ids = [int(key.removeprefix(FIELD)) for key in wanted if key.startswith(FIELD)]
    fields = CustomField.objects.filter(account=account, pk__in=ids).order_by("label", "pk") if ids else ()
    named |= {f"{FIELD}{field.pk}": Column(f"{FIELD}{field.pk}", field.label) for field in fields}
    return [column for key, column in named.items() if key in wanted]


def rows(people: Collection[Subscriber], columns: Iterable[Column], account: Account, now: datetime) -> list[Row]:
    fillers = [_filler(column, people, account, now) for column in columns]
    return [Row(person, [fill(person) for fill in fillers]) for person in people]


def _filler(
    column: Column, people: Collection[Subscriber], account: Account, now: datetime
) -> Callable[[Subscriber], Cell]:
    ids = [person.pk for person in people]
    match column.key:
        case "next":
            comes = coming.of(people, account.pk, account.time_zone, now)
            return lambda person: Cell(column, coming=comes[person.pk])
        case "tags":
            has = _tags(ids)
            return lambda person: _tagged(column, has.get(person.pk, []))
        case "since":
            ways = _came_by(ids)
            return lambda person: Cell(column, ways.get(person.pk, ""), at=person.created_at)
    field_id = column.key.removeprefix(FIELD)
    return lambda person: Cell(column, str(person.fields.get(field_id) or ""))


def _tagged(column: Column, names: list[str]) -> Cell:
    return Cell(column, ", ".join(names[:SHOWN_TAGS]), is_cut=len(names) > SHOWN_TAGS)


def _tags(ids: list[int]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {}
    for pk, name in _asked(_TAGS, people=ids, most=SHOWN_TAGS + 1):
        found.setdefault(pk, []).append(name)
    return found


def _came_by(ids: list[int]) -> dict[int, str]:
    """The first form they came through, else what the event of their coming says."""
    causes = _asked(_CAUSES, people=ids, type=types.SUBSCRIBER_CREATED)
    by_cause = {pk: CAME_BY.get((cause or "").partition(" ")[0], "") for pk, cause in causes}
    return by_cause | {pk: f"form {name}" for pk, name in _asked(_FORMS, people=ids)}


def _asked(query: str, **values: str | int | list[int]) -> Iterator[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        yield from cursor.fetchall()
