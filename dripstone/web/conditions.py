"""The editor of a condition: a sentence with blanks. "People who *are inside Write better emails* and *have no city*".

The page that shows it says which condition it is about; what somebody makes of it stands in the address, as JSON in
`filter`, until they save it there. A blank that is pressed opens a form below the sentence. Each form is sent by GET to
the page itself, so that everything works without JavaScript; htmx then swaps the editor alone.

    editor = conditions.Editor.of(request, account, reverse("people"), saved)
    if (answer := editor.answer()) is not None:
        return answer
    return show(request, "people/list.html", account, {"editor": editor, …})

In the template `{% include "conditions/_editor.html" %}`; a form that saves it sends `editor.json` as `filter`.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.conditions import words as condition_words
from dripstone.conditions.people import expanded
from dripstone.conditions.words import Names
from dripstone.errors import Problem
from dripstone.given import Checked, FromText
from dripstone.grammar import Thing
from dripstone.web import asking
from dripstone.web import condition_leaves as leaves
from dripstone.web import condition_tree as tree
from dripstone.web.condition_leaves import Kind, Question
from dripstone.web.condition_tree import Condition, Path
from dripstone.web.forms import Form
from dripstone.web.frame import show

PART = "conditions"  # the id of the editor on a page
MEMBER = "filter"
# Characters of JSON in an address: three times as much when it is encoded, and the server takes 64 KB of a head.
MOST = 16_000
TOO_LONG = "This is too long for the address of a page: save a part of it as a segment, and name that here"

AND_ALL = f"{tree.TOP}:and"  # the place of one more thing that is to be true

# How the parts of a group are joined, whether that is denied → the word that stands before them.
GROUP_WORDS = {("any", False): "either", ("all", False): "both", ("any", True): "none of", ("all", True): "not all of"}
MODES = {
    "any": ("any", False, "At least one of them is true"),
    "all": ("all", False, "All of them are true"),
    "none": ("any", True, "None of them is true"),
    "not_all": ("all", True, "Not all of them are true"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Of the sentence: text; or, with a place, a blank or (is_plus) room for one more.

    at   what pressing it sends
    """

    text: str
    at: str = ""
    is_plus: bool = False
    is_open: bool = False
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """What a pressed blank shows: kinds to choose from; the controls of one; or how a group is joined.

    joiner   of one more that may stand beside it; "" for none
    """

    at: str
    title: str
    is_new: bool
    kind: Kind | None = None
    questions: list[Question] = field(default_factory=list)
    form: Form = field(default_factory=Form)
    groups: list[tuple[str, list[Kind]]] = field(default_factory=list)
    modes: list[tuple[str, str]] = field(default_factory=list)
    joiner: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """joiner   `and` or `or`: one more beside what stands at the path; "": that itself"""

    path: Path
    joiner: str

    @classmethod
    def of(cls, text: str | None, condition: Condition | None) -> "_Place | None":
        if text is None:
            return None
        where, _, joiner = text.partition(":")
        path = tree.path_of(where)
        if path is None or joiner not in ("", *tree.JOINERS):
            return None
        is_there = tree.at(condition, path) is not None
        is_first = condition is None and not path and joiner
        return cls(path, joiner) if is_there or is_first else None

    def __str__(self) -> str:
        return f"{tree.text_of(self.path)}:{self.joiner}" if self.joiner else tree.text_of(self.path)


@dataclass(slots=True)
class Editor:
    """condition   what the page is about; None: everybody
    problem     why what the address says could not be read; `condition` is None then, and nobody is meant
    json        the condition as text, for a form that saves it; "" for everybody
    is_changed  it is another than the saved one
    pieces      the sentence
    nobody_because   why nobody can meet it as it stands: a thing it names is gone, or not recorded yet
    leads_to    where a form that was filled in leads; "" otherwise
    """

    request: HttpRequest
    account: Account
    base_url: str
    saved: Condition | None
    condition: Condition | None = None
    problem: str = ""
    keep: Mapping[str, str] = field(default_factory=dict)
    panel: Panel | None = None
    pieces: list[Piece] = field(default_factory=list)
    nobody_because: str = ""
    leads_to: str = ""

    @classmethod
    def of(
        cls,
        request: HttpRequest,
        account: Account,
        base_url: str,
        condition: Condition | None = None,
        keep: Mapping[str, str] | None = None,
    ) -> "Editor":
        """condition   the saved one, shown until somebody changes it
        keep        other parts of the page's query that stay
        """
        saved = _nothing_of_everybody(condition)
        editor = cls(request, account, base_url, saved, saved, keep=keep or {})
        if MEMBER in request.GET:
            editor.condition, editor.problem = _read(request.GET[MEMBER])
        if not editor.problem:
            editor._do(request.GET.get("do", ""), _Place.of(request.GET.get("at"), editor.condition))
        if not editor.leads_to:
            editor._tell()
        return editor

    @classmethod
    def of_text(cls, request: HttpRequest, account: Account, base_url: str, text: str) -> "Editor":
        """The same of a form that was refused, with what it sent as `filter`."""
        editor = cls(request, account, base_url, None, *_read(text))
        editor._tell()
        return editor

    def answer(self) -> HttpResponse | None:
        """What is answered instead of the page: another address, or the editor alone. None: the page."""
        if self.leads_to:
            return asking.leave(self.request, self.leads_to)
        if self.request.headers.get("HX-Target") not in (PART, "found"):
            return None
        response = show(self.request, "conditions/_editor.html", self.account, {"editor": self})
        response["Vary"] = "HX-Target, Cookie"
        return response

    @property
    def json(self) -> str:
        return _text(self.condition)

    @property
    def sentence(self) -> str:
        """Without its blanks."""
        return " ".join(piece.text for piece in self.pieces if not piece.is_plus)

    @property
    def is_changed(self) -> bool:
        return bool(self.problem) or self.condition != self.saved

    @property
    def query(self) -> str:
        """The condition in an address, with what the page keeps: `?filter=…`; "" for what it shows by itself."""
        return self._query(self.condition)

    def _query(self, condition: Condition | None, **more: str) -> str:
        said = {} if condition == self.saved else {MEMBER: _text(condition)}
        members = {**{name: value for name, value in self.keep.items() if value}, **said, **more}
        return f"?{urlencode(members)}" if members else ""

    # What was pressed

    def _do(self, what: str, place: _Place | None) -> None:
        if place is None or what == "close":
            return
        here = tree.at(self.condition, place.path)
        if what == "remove" and not place.joiner:
            self._lead(tree.removed(self.condition, place.path))
        elif here is not None and not place.joiner and tree.group_of(tree.plain(here)[0]):
            self._group(what, place, here)
        else:
            self._leaf(what, place, None if place.joiner else here)

    def _lead(self, condition: Condition | None, **more: str) -> None:
        place = "blank" if more else PART  # what is read on from, for who goes by keys
        self.leads_to = f"{self.base_url}{self._query(condition, **more)}#{place}"

    def _group(self, what: str, place: _Place, here: Condition) -> None:
        inner, is_denied, _ = tree.plain(here)
        key = tree.group_of(inner)
        assert key is not None
        if what == "put" and (mode := MODES.get(self.request.GET.get("mode", ""))):
            new = tree.signed({mode[0]: inner[key]}, is_denied=mode[1])
            self._lead(tree.put(self.condition, place.path, new))
            return
        mode_now = next(name for name, (one, denied, _) in MODES.items() if (one, denied) == (key, is_denied))
        self.panel = Panel(
            str(place),
            "How these belong together",
            is_new=False,
            form=Form({"mode": mode_now}),
            modes=[(name, label) for name, (*_, label) in MODES.items()],
        )

    def _leaf(self, what: str, place: _Place, here: Condition | None) -> None:
        inner, is_denied, _ = tree.plain(here) if here is not None else ({}, False, ())
        kind = leaves.KINDS.get(self.request.GET.get("kind", "")) or leaves.kind_of(inner)
        if kind is None:
            title = "What about them?" if here is None else "Ask for something else, or remove it"
            self.panel = Panel(str(place), title, is_new=here is None, groups=list(leaves.grouped()))
            return
        old = inner if inner and leaves.kind_of(inner) == kind else {}
        values = {**leaves.shown(kind, old), leaves.SIGN: "no" if is_denied and old else "yes"}
        problems: list[Problem] = []
        if what in ("put", "find", *tree.JOINERS):
            values |= leaves.typed(kind, self.request.GET)
        if what in ("put", *tree.JOINERS):
            problems = self._put(what, place, kind, leaves.made(kind, values, old, self.account), values[leaves.SIGN])
        self.panel = Panel(
            str(place),
            kind.label.capitalize() if here is None else "Change this",
            is_new=here is None,
            kind=kind,
            questions=list(leaves.questions(kind, values, self.account, self.request.GET.get("find", ""))),
            form=Form({leaves.field_name(name): value for name, value in values.items()}, problems),
            joiner=self._joiner(place),
        )

    def _joiner(self, place: _Place) -> str:
        """An alternative, where all are to be true; what is to be true as well, in an alternative."""
        if place.joiner:
            return ""
        is_alternative = len(place.path) > 1 and place.path[-2] == "any"
        return "and" if is_alternative else "or"

    def _put(self, what: str, place: _Place, kind: Kind, leaf: Condition, sign: str) -> list[Problem]:
        """Leads on, or says what is wrong."""
        one = tree.signed(leaf, is_denied=sign == "no")
        if place.joiner:
            new = tree.beside(self.condition, place.path, place.joiner, one)
        else:
            new = tree.put(self.condition, place.path, one)
        read = Checked({MEMBER: new})
        grammar.read(read, MEMBER, _everything)
        if not read.problems and len(_text(new)) > MOST:
            return [(None, TOO_LONG)]
        if not read.problems:
            more = {"at": f"{tree.text_of(place.path)}:{what}"} if what in tree.JOINERS else {}
            self._lead(new, **more)
        top = tree.name_of(tree.way_to(new, leaf), MEMBER) + "."
        return list(dict.fromkeys(leaves.problem(kind, problem, top) for problem in read.problems))

    # The sentence

    def _tell(self) -> None:
        open_at = self.panel.at if self.panel else ""
        if self.condition is None:
            more = Piece("who …", AND_ALL, is_plus=True, is_open=open_at == AND_ALL)
            self.pieces = [Piece("Nobody" if self.problem else "Everybody"), *([] if self.problem else [more])]
            return
        found = expanded(self.condition, self.account.pk)
        self.nobody_because = condition_words.why_nobody(found)
        names = condition_words.names([self.condition], self.account.pk)
        self.pieces = list(_Sentence(names, set(found.missing), open_at).pieces(self.condition))


@dataclass(frozen=True, slots=True)
class _Sentence:
    names: Names
    gone: set[Thing]
    open_at: str

    def pieces(self, condition: Condition) -> Iterator[Piece]:
        yield Piece("People who")
        yield from self._part(condition, ())
        if tree.group_of(condition) != "all":
            yield self._plus((), "and")

    def _part(self, here: Condition, path: Path) -> Iterator[Piece]:
        inner, is_denied, way = tree.plain(here)
        if (key := tree.group_of(inner)) is not None:
            yield from self._group(inner[key], key, path, path + way, is_denied=is_denied)
            return
        is_gone = not self.gone.isdisjoint(grammar.things(inner))
        yield self._blank(condition_words.leaf(inner, self.names, denied=is_denied), path, is_gone=is_gone)

    def _group(self, parts: list[Condition], key: str, path: Path, inside: Path, *, is_denied: bool) -> Iterator[Piece]:
        """In brackets, with a word that says how it is joined; the things at the top need neither."""
        joiner = next(word for word, one in tree.JOINERS.items() if one == key)
        if path:
            yield Piece("(")
        if path or key != "all" or is_denied:
            yield self._blank(GROUP_WORDS[key, is_denied], path)
        for number, part in enumerate(parts):
            if number:
                yield Piece(joiner)
            yield from self._part(part, (*inside, key, number))
        yield self._plus(inside, joiner)
        if path:
            yield Piece(")")

    def _blank(self, text: str, path: Path, *, is_gone: bool = False) -> Piece:
        at = tree.text_of(path)
        return Piece(text, at, is_open=at == self.open_at, is_gone=is_gone)

    def _plus(self, path: Path, joiner: str) -> Piece:
        at = f"{tree.text_of(path)}:{joiner}"
        return Piece(f"{joiner} …", at, is_plus=True, is_open=at == self.open_at)


def _read(text: str) -> tuple[Condition | None, str]:
    """Of an address. Things that are not there are no problem here: the sentence shows them, to be changed."""
    read = Checked(FromText({MEMBER: text}))
    condition = grammar.read(read, MEMBER, _everything)
    if not read.problems:
        return _nothing_of_everybody(condition), ""
    return None, "; ".join(dict.fromkeys(sentence for _, sentence in read.problems))


def _nothing_of_everybody(condition: Condition | None) -> Condition | None:
    """Everybody may be written as all of nothing."""
    return None if condition == {"all": []} else condition


def _everything(kind: str, ids: Collection[int]) -> Collection[int]:
    return ids


def _text(condition: Condition | None) -> str:
    return "" if condition is None else json.dumps(condition, ensure_ascii=False, separators=(",", ":"))
