"""`dripstone import`: the same import as on the page, from a terminal. It works beside a running server, whose workers
may do a part of it, and by itself.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.events import causes
from dripstone.imports import arriving, columns, files, look, verbs, work
from dripstone.imports.columns import Target
from dripstone.imports.models import Import
from dripstone.subscribers import tags
from dripstone.subscribers.models import CustomField, Form, Tag

PIECE = 1_000_000  # bytes
ASKED_BY = "command line"
SLICE, PAUSE = 0.5, 0.2  # seconds: of work; between two looks at what another process does
SIMPLE = ("email", "first_name", "tags", "created_at", "skip")

Step = Callable[[str, int, int], None]
"""Told of progress: what is done, how far, of how many (0: nobody knows)."""

Agree = Callable[[Import], bool]
"""Shown what it would do: whether it may start."""


class Made(NamedTuple):
    """What everybody gets. `new_tags`: that were made for it."""

    tag_ids: list[int]
    new_tags: list[Tag]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says.

    columns   `NAME=TARGET`: a title or a number from 1, and one of SIMPLE or the label or key of a custom field
    tags      names
    forms, sequences  names or ids
    """

    columns: Sequence[str] = ()
    tags: Sequence[str] = ()
    forms: Sequence[str] = ()
    sequences: Sequence[str] = ()
    given: dict[str, Any] = field(default_factory=dict)


def import_file(
    account: Account, path: str, wishes: Wishes, step: Step, agree: Agree, *, is_rehearsal: bool, rejected: str | None
) -> Import:
    """As it was at the end: one that has not run is gone by then, with all that was made for it.

    rejected   a path for the rows that are not taken
    Raises Invalid, TooLarge, NotFound, Conflict; nobody was touched then.
    """
    row = upload(account, path, step)
    made: Made | None = None
    try:
        made = known_tags(account, wishes.tags) if is_rehearsal else make_tags(account, wishes.tags)
        row = follow(choose(row, wishes, made.tag_ids), step)
        if row.state == Import.State.FAILED:
            raise Invalid(row.why)
        if rejected and row.n_rejected:
            write_rejected(row, rejected)
        if agree(row):
            verbs.run(row, clock.now())
    finally:
        row.refresh_from_db()
        if row.run_at is None:
            drop(row, made.new_tags if made else ())
    return follow(row, step) if row.run_at else row


@contextmanager
def opened(path: str) -> Iterator[tuple[BinaryIO, str, int]]:
    """The file, its name and its bytes (0: nobody knows). `-` is stdin. Raises NotFound, Invalid."""
    if path == "-":
        yield sys.stdin.buffer, "stdin.csv", 0
        return
    try:
        with Path(path).open("rb") as opened_file:
            yield opened_file, Path(path).name, Path(path).stat().st_size
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None


def upload(account: Account, path: str, step: Step) -> Import:
    """Raises TooLarge; Invalid for an empty file."""
    with opened(path) as (source, name, n_bytes):
        arriving.check_room(account.pk, n_bytes)
        row = files.begin(account, name, ASKED_BY, clock.now())
        try:
            number = 0
            while piece := source.read(PIECE):
                files.add(row, number, piece)
                number += 1
                step("Reading the file", row.n_bytes, n_bytes)
            return files.finish(row, clock.now())
        except BaseException:
            verbs.cancel(row, clock.now())
            raise


def choose(row: Import, wishes: Wishes, tag_ids: Sequence[int]) -> Import:
    """Raises Invalid with every problem."""
    told = {name: wishes.given[name] for name in ("encoding", "separator", "has_header") if name in wishes.given}
    seen = look.look(row, **told)
    given = wishes.given | {
        "columns": [one.kept() for one in _targets(row.account_id, seen, wishes.columns)],
        "tag_ids": list(tag_ids),
        "form_ids": _ids(Form.objects.filter(account_id=row.account_id), wishes.forms, "form"),
        "sequence_ids": _ids(row.account.sequences.filter(deleted_at=None), wishes.sequences, "sequence"),
        "consent": True,
    }
    return verbs.choose(row, given, clock.now(), by=ASKED_BY)


def _targets(account_id: int, seen: look.Look, wishes: Sequence[str]) -> list[Target]:
    found, problems = [one.target for one in seen.columns], []
    titles = [one.title.lower() for one in seen.columns]
    for wish in wishes:
        name, equals, target = wish.rpartition("=")
        place = _place(name.strip(), titles)
        if not equals or not target.strip():
            problems.append(f"--column {wish} must be NAME=TARGET, such as City=skip")
        elif place is None:
            problems.append(f"--column {wish}: there is no column {name.strip()}")
        else:
            chosen = _target(account_id, target.strip())
            if chosen.kind in columns.ONCE:  # what was guessed to be that is not
                found = [columns.SKIP if one.kind == chosen.kind else one for one in found]
            found[place] = chosen
    if problems:
        raise Invalid(problems)
    return found


def _place(name: str, titles: Sequence[str]) -> int | None:
    if name.lower() in titles:
        return titles.index(name.lower())
    is_number = name.isascii() and name.isdigit() and len(name) < 6
    return int(name) - 1 if is_number and 0 < int(name) <= len(titles) else None


def _target(account_id: int, text: str) -> Target:
    if text in SIMPLE:
        return Target(text)
    fields = CustomField.objects.filter(account_id=account_id)
    known = fields.filter(key=text).first() or fields.filter(label__iexact=text).first()
    return Target("field", known.pk) if known else Target("new_field", label=text)


def _ids(rows: Any, wishes: Sequence[str], noun: str) -> list[int]:
    """By name or number. Raises Invalid."""
    found, problems = [], []
    for wish in wishes:
        named = list(rows.filter(name__iexact=wish).values_list("pk", flat=True)[:2])
        if not named and wish.isascii() and wish.isdigit() and len(wish) < 19:
            named = list(rows.filter(pk=int(wish)).values_list("pk", flat=True))
        if len(named) == 1:
            found += named
        else:
            problems.append(f"There {'are several' if named else 'is no'} {noun}{'s' if named else ''} {wish}")
    if problems:
        raise Invalid(problems)
    return found


def make_tags(account: Account, names: Sequence[str]) -> Made:
    """Those of these names, made where there are none. Raises Invalid, and none is made then."""
    ids, new = [], []
    for name in names:
        tags.check({"name": name})
    for name in names:
        found = Tag.objects.filter(account=account, name__iexact=name.strip()).first()
        if found is None:
            found = tags.create(account.pk, {"name": name}, clock.now(), cause=causes.OWNER)[0]
            new.append(found)
        ids.append(found.pk)
    return Made(ids, new)


def known_tags(account: Account, names: Sequence[str]) -> Made:
    """Those that there are."""
    found = (Tag.objects.filter(account=account, name__iexact=name.strip()).first() for name in names)
    return Made([tag.pk for tag in found if tag is not None], [])


def follow(row: Import, step: Step) -> Import:
    """Until nobody works on it any more: here, unless another process does."""
    has_more = True
    while True:
        row.refresh_from_db()
        match row.state:
            case Import.State.READING:
                step("Counting", row.read_to, row.n_bytes)
            case Import.State.RUNNING:
                step("Importing", row.n_done, row.n_new + row.n_existing)
            case _:
                return row
        if not has_more:
            time.sleep(PAUSE)
        has_more = work.work(clock.now, SLICE)


def drop(row: Import, new_tags: Sequence[Tag] = ()) -> None:
    """As if it had never been; what is known of it stays with `row`."""
    counted = copy(row)
    if row.state != Import.State.FAILED:
        verbs.cancel(counted, clock.now())
    for tag in new_tags:
        tags.delete(tag, clock.now(), cause=causes.OWNER)
    while True:
        work.work(clock.now, SLICE)
        try:
            return verbs.delete(counted)
        except Conflict:
            time.sleep(PAUSE)


def write_rejected(row: Import, path: str) -> None:
    try:
        with Path(path).open("wb") as target:
            target.writelines(verbs.rejected(row))
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from None
