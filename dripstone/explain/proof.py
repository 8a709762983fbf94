"""What a creator should look at before an email goes: in words, each with the place that it is about.

Takes       an email with its draft laid over it, what its draft could not be published for, and how long it comes out
Leaves      nothing: it only reads, in a fixed number of queries
health_content.py says the same of what is published, to those who ask why a sequence is not well.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from django.db import connection

from dripstone import words
from dripstone.content import liquid, proofread
from dripstone.content.liquid_render import UNSUBSCRIBE_NAMES
from dripstone.engine.acts.previews import CLIPPED_AT
from dripstone.engine.models import Enrollment
from dripstone.errors import Problem
from dripstone.explain import health_content
from dripstone.explain.findings import ERROR, NOTICE, WARNING
from dripstone.explain.health_content import Library, Use
from dripstone.sequences import starters
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places
from dripstone.subscribers.models import CustomField

NEAR = 0.85  # of what Gmail shows
MOST_COUNTED = 10_000  # people inside whose values are looked at: 30 ms

# Purpose: of the people inside, how many have each of these values empty, all of them first. By the index
# enrollment_once and the primary key of each person: 3 µs a person.
_EMPTY = """
SELECT count(*), {columns} FROM engine_enrollment e JOIN subscribers_subscriber s ON s.id = e.subscriber_id
WHERE e.sequence_id = %s AND e.status = 'active'
"""


@dataclass(frozen=True, slots=True)
class Check:
    """about      what the sentence begins with, to be set off: the name of a field, an address; may be ""
    place      "subject", "preview_text", "content", "template", "snippet KEY", "account"; "" for no place
    find       what to look for in the source of the place; "" for its beginning
    """

    severity: str
    about: str
    sentence: str
    place: str = ""
    find: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """checks   the gravest first
    passed   what is well, a word or two each
    """

    checks: list[Check]
    passed: list[str]


_ORDER = (ERROR, WARNING, NOTICE)
SILENT = ("words to replace", "size")  # not worth a word when nothing is wrong, or said with a figure


def read(email: SequenceEmail, problems: Iterable[Problem], size: int | None) -> Proof:
    """email     its printed members are the draft's; never saved here
    problems  why the draft can't be published
    size      bytes of HTML of the message as a preview shows it; None: there is none
    """
    sequence = email.sequence
    shelf = health_content.libraries({email.account_id})[email.account_id]
    sources = list(health_content.sources(sequence, email, shelf))
    broken = [_broken(member, sentence, email) for member, sentence in problems]
    parts = {
        "Liquid": broken,
        "words to replace": list(_not_replaced(sources)),
        "fields and snippets": list(_uses(sequence, sources, shelf)),
        "pictures": list(_images(sources)),
        "links": list(_links(sources)),
        "unsubscribe link": list(_footer(sources)),
        "postal address": list(_address(email)),
        "size": list(_size(size)),
    }
    checks = sorted((one for found in parts.values() for one in found), key=lambda one: _ORDER.index(one.severity))
    passed = [name for name, found in parts.items() if not found and name not in SILENT]
    if size is not None and not parts["size"]:
        passed.append(f"{_kilobytes(size)} of {_kilobytes(CLIPPED_AT)}")
    return Proof(checks, passed)


def _broken(member: str | None, sentence: str, email: SequenceEmail) -> Check:
    _, _, rest = sentence.partition(": ")
    place = (member or "").split(".")[0]
    if sentence.startswith("Invalid Liquid in") and rest:
        return Check(ERROR, "Liquid:", rest.rstrip(".") + ".", place, _broken_tag(getattr(email, place, None) or ""))
    return Check(ERROR, "", f"{sentence.rstrip('.')}.".replace("_", " "), place)


def _broken_tag(source: str) -> str:
    """The tag that cannot stand alone, if one of them is to blame."""
    for piece in liquid.pieces(source):
        if piece.is_open or (piece.text.startswith("{{") and piece.is_liquid and liquid.check(piece.text)):
            return piece.text[:80]
    return ""


def _uses(sequence: Sequence, sources: list[tuple[str, str]], shelf: Library) -> Iterator[Check]:
    found = list(health_content.uses(sources, shelf))
    inside = places.by_status([sequence.pk])[sequence.pk, Enrollment.Status.ACTIVE]
    bare = {use.key for use in found if use.kind == "fallback"}
    empty = _empty(sequence, bare) if bare and inside <= MOST_COUNTED else None
    for use in found:
        yield _use(use, inside, empty)


def _use(use: Use, inside: int, empty: dict[str, tuple[int, int]] | None) -> Check:
    name = use.key.replace("_", " ")
    through = "" if use.place in health_content.PARTS else f" It stands in the {use.place}."
    match use.kind:
        case "snippet":
            sentence = f"is no snippet of yours; nothing stands in its place.{through}"
            return Check(WARNING, use.key, sentence, use.place, _tag(use.source, f"snippet.{use.key}"))
        case "field":
            sentence = f"is no field of yours; nothing stands in its place.{through}"
            return Check(WARNING, name, sentence, use.place, _tag(use.source, f"subscriber.{use.key}"))
        case "number":
            sentence = f"is compared with a number, but fields are text. Write {liquid.as_number(use.key)} first."
            return Check(WARNING, name, sentence + through, use.place, _tag(use.source, f"subscriber.{use.key}"))
    severity, sentence = _fallback(use.key, inside, empty)
    return Check(severity, name, sentence + through, use.place, _tag(use.source, f"subscriber.{use.key}"))


def _fallback(key: str, inside: int, empty: dict[str, tuple[int, int]] | None) -> tuple[str, str]:
    if empty is None:
        return WARNING, f"has no fallback. How many of {words.people(inside)} lack it is not counted here."
    of, lacking = empty.get(key, (0, 0))
    if not of:
        return WARNING, "has no fallback: people without one see a gap."
    if not lacking:
        return NOTICE, f"has no fallback. {words.everybody_inside(of, 'has', 'have')} one today."
    return WARNING, f"is empty for {lacking:,} of {words.people(of)} inside, and has no fallback."


def _empty(sequence: Sequence, keys: Collection[str]) -> dict[str, tuple[int, int]]:
    """Key → people inside, and those of them whose value is empty. `first_name` is one of the keys, or not."""
    ids = dict(CustomField.objects.filter(account_id=sequence.account_id, key__in=keys).values_list("key", "pk"))
    wanted = [key for key in sorted(keys) if key in ids or key == "first_name"]
    if not wanted:
        return {}
    value = {key: "s.first_name" if key == "first_name" else "s.fields ->> %s" for key in wanted}
    columns = ", ".join(f"count(*) FILTER (WHERE COALESCE({value[key]}, '') = '')" for key in wanted)
    with connection.cursor() as cursor:
        arguments = [str(ids[key]) for key in wanted if key != "first_name"]
        cursor.execute(_EMPTY.format(columns=columns), [*arguments, sequence.pk])
        of, *counts = cursor.fetchone()
    return {key: (of, n) for key, n in zip(wanted, counts, strict=True)}


def _tag(source: str, path: str) -> str:
    """The first tag that mentions it, as it is written."""
    return next((one.text for one in liquid.pieces(source) if one.is_liquid and path in one.text), "")


def _not_replaced(sources: list[tuple[str, str]]) -> Iterator[Check]:
    for place, source in sources:
        for found in starters.not_replaced(source):
            yield Check(WARNING, found, "came with the starter, for you to replace.", place, found)


def _images(sources: list[tuple[str, str]]) -> Iterator[Check]:
    for place, flaw in _flaws(sources, "alt"):
        name = flaw.what.rpartition("/")[2][:60] or "A picture"
        yield Check(WARNING, name, "has no words for those who do not see it (alt text).", place, flaw.what)


def _links(sources: list[tuple[str, str]]) -> Iterator[Check]:
    for place, flaw in _flaws(sources, "link"):
        yield Check(WARNING, flaw.what[:60] or "A link", f"{flaw.why}.", place, flaw.what)


def _flaws(sources: list[tuple[str, str]], kind: str) -> Iterator[tuple[str, proofread.Flaw]]:
    """The subject and the preview text are no HTML."""
    for place, source in sources:
        if place not in ("subject", "preview_text"):
            yield from ((place, flaw) for flaw in proofread.flaws(source) if flaw.kind == kind)


def _footer(sources: list[tuple[str, str]]) -> Iterator[Check]:
    """Every message has a link to unsubscribe (compile.py); this says where it comes from."""
    is_built_in = all(not source for place, source in sources if place == "template")
    names = {name for _, source in sources for name in liquid.variables(source).names}
    if not is_built_in and not names & UNSUBSCRIBE_NAMES:
        yield Check(NOTICE, "", "Neither the email nor its template has an unsubscribe link: one is added at its foot.")


def _address(email: SequenceEmail) -> Iterator[Check]:
    if not (email.account.postal_address or "").strip():
        yield Check(WARNING, "", "The account has no postal address; many laws ask for one in every email.", "account")


def _size(size: int | None) -> Iterator[Check]:
    if size is None or size < NEAR * CLIPPED_AT:
        return
    sentence = f"of HTML: Gmail hides what comes after {_kilobytes(CLIPPED_AT)}"
    severity, end = (WARNING, ".") if size > CLIPPED_AT else (NOTICE, ", and that is near.")
    yield Check(severity, _kilobytes(size), sentence + end)


def _kilobytes(size: int) -> str:
    return f"{-(-size // 1024):,} KB"
