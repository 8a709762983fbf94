"""What an import would do, does and has done, in sentences: for pages and the command line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dripstone import words
from dripstone.imports.models import Import
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, Tag

STATES: Mapping[str, str] = {
    Import.State.UPLOADING: "Not all here",
    Import.State.UPLOADED: "To be set up",
    Import.State.READING: "Being read",
    Import.State.READY: "Ready",
    Import.State.RUNNING: "Under way",
    Import.State.DONE: "Done",
    Import.State.UNDOING: "Being undone",
    Import.State.UNDONE: "Undone",
    Import.State.CANCELLED: "Cancelled",
    Import.State.FAILED: "Stopped",
}
EXISTING: Mapping[str, str] = {
    Import.Existing.UPDATE: "Take over the values from the file, and add tags, forms and sequences",
    Import.Existing.KEEP: "Keep their values, and add tags, forms and sequences",
    Import.Existing.SKIP: "Leave them as they are",
}
BLANKS: Mapping[str, str] = {
    Import.Blanks.KEEP: "Says nothing: what is known stays",
    Import.Blanks.CLEAR: "Takes the value away",
}
ENCODINGS: Mapping[str, str] = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16 (Unicode text of Excel)",
    "utf-16-be": "UTF-16, big-endian",
    "windows-1252": "Windows, Western European",
    "windows-1250": "Windows, Central European",
    "windows-1251": "Windows, Cyrillic",
    "iso-8859-15": "ISO 8859-15 (Latin 9)",
    "mac-roman": "Mac",
}
SEPARATORS: Mapping[str, str] = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Vertical bar"}

_OF_EXISTING: Mapping[str, str] = {
    Import.Existing.UPDATE: "there already, and updated",
    Import.Existing.KEEP: "there already; what is known of them stays",
    Import.Existing.SKIP: "there already, and left as they are",
}


@dataclass(frozen=True, slots=True)
class Line:
    """n of people, or of rows; "1,204 new"."""

    n: int
    phrase: str
    is_rejected: bool = False

    def __str__(self) -> str:
        return f"{self.n:,} {self.phrase}"


def effects(row: Import) -> Iterator[Line]:
    """What it would do, once it has been read."""
    yield Line(row.n_new, "new")
    if row.n_existing:
        yield Line(row.n_existing, _OF_EXISTING[row.existing])
    if row.n_unmailable:
        phrase = words.agree(row.n_unmailable, "unsubscribed, bounced or complained, and stays so", _STAY)
        yield Line(row.n_unmailable, f"of them {phrase}")
    yield from _about_rows(row)


_STAY = "unsubscribed, bounced or complained, and stay so"


def _about_rows(row: Import) -> Iterator[Line]:
    if row.n_twice:
        more = words.agree(row.n_twice, "more row is", "more rows are")
        yield Line(row.n_twice, f"{more} about somebody whom an earlier row names, and put together with it")
    if row.n_rejected:
        yield Line(row.n_rejected, f"{words.agree(row.n_rejected, 'row', 'rows')} can’t be read", is_rejected=True)


def targets(row: Import) -> list[str]:
    """What everybody gets, by name: `the tag “Fair”`."""
    asked = ((Tag, row.tag_ids, "tag"), (Form, row.form_ids, "form"), (Sequence, row.sequence_ids, "sequence"))
    found = []
    for model, ids, noun in asked:
        names = dict(model._default_manager.filter(account_id=row.account_id, pk__in=ids).values_list("pk", "name"))
        found += [f"the {noun} “{names[pk]}”" if pk in names else f"a {noun} that is gone" for pk in ids]
    return found


def report(row: Import) -> Iterator[Line]:
    """What it has done so far."""
    yield Line(row.n_made, "new")
    yield Line(row.n_changed, "there already, and changed")
    if row.sequence_ids:
        yield Line(row.n_entered, words.agree(row.n_entered, "place in a sequence", "places in sequences"))
    if row.n_stayed_out:
        stays = words.agree(row.n_stayed_out, "stays as they are: they", "stay as they are: they")
        yield Line(row.n_stayed_out, f"{stays} unsubscribed, bounced or complained")
    yield from _about_rows(row)


def in_short(row: Import) -> str:
    """For a list: a line about what it did, or is about to do."""
    match row.state:
        case Import.State.UPLOADING:
            return f"{words.size(row.n_bytes)} of the file have come"
        case Import.State.UPLOADED:
            return "Say what its columns are"
        case Import.State.READING:
            return f"{row.n_rows:,} {words.agree(row.n_rows, 'row', 'rows')} read"
        case Import.State.READY:
            return f"Would add {words.people(row.n_new)}"
        case Import.State.UNDONE:
            return undone(row)
        case _ if row.run_at is None:
            return row.why or "Nobody was touched"
        case _:
            wrong = f", {words.count(row.n_rejected, 'row')} not taken" if row.n_rejected else ""
            return f"{row.n_made:,} new, {row.n_changed:,} changed{wrong}"


def undone(row: Import) -> str:
    left = f"; {row.n_left_alone:,} stayed, since they changed meanwhile" if row.n_left_alone else ""
    return f"{words.people(row.n_undone, 'is', 'are')} as before{left}"
