"""An email, compiled once per version; then a message per person in a fraction of a millisecond.

What does not depend on the person happens in `compile_email`: body into template, CSS inlined, From header encoded; and
once, when somebody first needs it, Liquid is parsed and a stencil cut. What came out is kept in the database
(precompiled.py). `CompiledEmail.render` fills in the person. It raises OverBudget when the Liquid would take too much
work (liquid_cost.py), and nothing else: see liquid_render.py. The text part is made from the finished HTML (text.py),
so nothing that the HTML says or hides can come out otherwise there.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import NamedTuple
from urllib.parse import quote_plus

from liquid import Markup
from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from dripstone.content import html, layout, liquid_render, mime, stencil, text
from dripstone.content.liquid import HTML, PLAIN, TEXT, clean, parse
from dripstone.content.liquid_cost import PARSED_PER_STEP, TEXT_PER_STEP, OverBudget
from dripstone.content.liquid_render import State, TolerantEnvironment
from dripstone.content.stencil import OPEN
from dripstone.senders.base import Lines


@dataclass(frozen=True, slots=True)
class SnippetSource:
    """kind      "inline": source is plain text with Liquid; "block": HTML with Liquid"""

    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class EmailSource:
    """Everything that a version of an email is made of.

    content         HTML with Liquid, a fragment or a whole document; None and "" give an empty but valid mail
    template_html   HTML with Liquid and {{ message_content }}; None is the built-in layout
    snippets        all of the account's by key, archived ones too
    postal_address  plain text, lines
    language        BCP 47, of an email that names none itself; "": none is said. `direction` alike: "ltr", "rtl"
    """

    subject: str
    from_name: str
    from_address: str
    preview_text: str | None = None
    content: str | None = None
    template_html: str | None = None
    snippets: Mapping[str, SnippetSource] = field(default_factory=dict)
    reply_to: str | None = None
    postal_address: str | None = None
    language: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """fields   custom field values by key; a key that is missing here is unknown, None is merely empty"""

    subscriber_id: int
    email_address: str
    first_name: str | None = None
    fields: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What belongs to one delivery; the same over all of its attempts, which makes attempts byte for byte the same.

    message_id   without angle brackets
    date         aware; also what Liquid's `now` means, so give it in the zone people should see
    list_id      domain-like, `sequence-7.example.com`; None leaves the header out
    """

    message_id: str
    date: datetime
    unsubscribe_url: str
    list_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """data   the whole RFC 5322 message, CRLF, not dot-stuffed"""

    data: bytes
    subject: str
    preview_text: str
    text: str
    html: str
    warnings: tuple[str, ...]


class Texts(NamedTuple):
    """What one person reads."""

    subject: str
    preview_text: str
    plain: str
    page: str


class Written(NamedTuple):
    """data   the whole RFC 5322 message, CRLF, not dot-stuffed"""

    data: bytes
    warnings: tuple[str, ...]
    lines: Lines = Lines()


_PREVIEW_ENVELOPE = Envelope("preview@localhost", datetime(2000, 1, 1, tzinfo=UTC), "https://localhost/u/preview")


@dataclass
class Liquid:
    """A letter's Liquid, parsed when something first asks for it: who has a stencil needs it for few people."""

    subject_source: str
    preview_source: str
    page: html.Finished
    snippets: dict[tuple[str, bool], BoundTemplate | None] = field(default_factory=dict)

    @cached_property
    def _parsed(self) -> tuple[list[BoundTemplate], tuple[str, ...]]:
        problems: list[str] = []
        templates = [
            _parsed("subject", self.subject_source, problems, is_html=False),
            _parsed("preview text", self.preview_source, problems, is_html=False),
            _parsed("content", self.page.html, problems, is_html=True),
        ]
        return templates, tuple(problems)

    @property
    def templates(self) -> list[BoundTemplate]:
        """Subject, preview text and HTML."""
        return self._parsed[0]

    @property
    def problems(self) -> tuple[str, ...]:
        return self._parsed[1]


@dataclass
class CompiledEmail:
    source: EmailSource
    boundary: str
    from_headers: list[str]
    liquid: Liquid
    address: str  # postal address, lines
    html_address: Markup

    def from_sender(self, source: EmailSource) -> "CompiledEmail":
        """The same letter from another sender: a source that differs in name, addresses and postal address alone. None
        of it is parsed again. Raises ValueError like `compile_email`."""
        address = _address(source)
        return replace(
            self,
            source=source,
            boundary=_boundary(source),
            from_headers=_from_headers(source),
            address=address,
            html_address=layout.html_address(address),
        )

    def message(self, person: Person, envelope: Envelope, *, eight_bit: bool = False) -> bytes:
        """The RFC 5322 message for one delivery. Raises OverBudget."""
        return self.written(person, envelope, eight_bit=eight_bit).data

    def written(self, person: Person, envelope: Envelope, *, eight_bit: bool = False) -> "Written":
        """The message and its warnings: cut from the stencil where that is right, else rendered. Raises OverBudget."""
        values = self.stencil and stencil.values_for(self.stencil.holes, _known(person, envelope))
        if not self.stencil or not values:
            rendered = self.render(person, envelope, eight_bit=eight_bit)
            return Written(rendered.data, rendered.warnings)
        state, filling = State(envelope.date), stencil.Filling(values)
        headers = self._headers(person, envelope, mime.one_line(self.stencil.subject.fill(values)), state)
        parts = [body.part(filling, eight_bit=eight_bit) for body in (self.stencil.text, self.stencil.html)]
        data = mime.alternative(headers, [part for part, _ in parts], self.boundary)
        return Written(data, (*self.stencil.warnings, *state.warnings), mime.lines([known for _, known in parts]))

    @cached_property
    def stencil(self) -> "MessageStencil | None":
        """Cut from a message whose personal values are marks; None when Liquid must run for every person."""
        holes = stencil.holes_of(self.liquid.templates, self._snippets_of_both_parts)
        if not holes:
            return None
        marks = {hole.key: stencil.mark(number) for number, hole in enumerate(holes)}
        stranger = Person(0, marks.pop("email_address", ""), marks.pop("first_name", None), marks)
        state = State(_PREVIEW_ENVELOPE.date)
        envelope = replace(_PREVIEW_ENVELOPE, unsubscribe_url=marks.pop(""))
        try:
            subject, _, plain, page = self._texts(stranger, envelope, state)
        except OverBudget:
            return None
        is_whole = all(stencil.is_whole(one, len(holes)) for one in (subject, plain, page))
        decides_about_url = any(hole.key and stencil.begins_url(plain, number) for number, hole in enumerate(holes))
        if not is_whole or decides_about_url or text.is_shaped_by(OPEN, page):
            return None
        return MessageStencil.cut(holes, (subject, plain, page), self.boundary, state.warnings)

    def _snippets_of_both_parts(self, key: str) -> list[BoundTemplate]:
        found = [self.snippet_template(key, is_html=is_html) for is_html in (False, True)]
        return [template for template in found if template is not None]

    def warnings(self, person: Person) -> tuple[str, ...]:
        """What would come out empty for this person. Raises OverBudget."""
        return self.render(person, _PREVIEW_ENVELOPE).warnings

    def render(self, person: Person, envelope: Envelope, *, eight_bit: bool = False, gap: str = "") -> Rendered:
        """gap   marks where a value is empty, in all that is read (gaps.py); "" as it is sent. Raises OverBudget."""
        state = State(envelope.date, gap)
        subject, preview_text, plain, page = self._texts(person, envelope, state)
        headers = self._headers(person, envelope, subject, state)
        parts = [
            mime.part("text/plain", plain, self.boundary, eight_bit=eight_bit),
            mime.part("text/html", page, self.boundary, eight_bit=eight_bit),
        ]
        data = mime.alternative(headers, parts, self.boundary)
        return Rendered(data, subject, preview_text, plain, page, tuple(state.warnings))

    def _texts(self, person: Person, envelope: Envelope, state: State) -> Texts:
        for problem in self.liquid.problems:
            state.warn(problem)
        plain_values = self._values(person, envelope, state, is_html=False)
        of_subject, of_preview, of_page = self.liquid.templates
        state.part = "subject"
        subject = mime.one_line(liquid_render.render(of_subject, plain_values, state))
        state.part = "preview_text"
        preview = mime.one_line(liquid_render.render(of_preview, plain_values, state))
        state.part = "content"
        html_values = self._values(person, envelope, state, is_html=True) | {"preview_text": preview}
        page = clean(liquid_render.render(of_page, html_values, state))
        state.spend(len(page) // TEXT_PER_STEP)
        plain = text.html_to_text(page)
        missing = self._missing(str(plain_values["unsubscribe_url"]), plain)
        if footer := layout.html_footer(*missing):
            page = html.before_body_end(page, footer)
        return Texts(subject, preview, f"{plain}{layout.text_footer(*missing)}\n", page)

    def _missing(self, unsubscribe_url: str, plain: str) -> tuple[str | None, str | None]:
        """The URL and the address, each None when people see it already. `plain` is what they see."""
        has_address = self.address in plain or self._is_typed_in(plain)
        # As it is, as the mark of a stencil stands in a URL, or handed to a page of the creator's (`| url_encode`).
        forms = (unsubscribe_url, text.in_url(unsubscribe_url), quote_plus(unsubscribe_url))
        has_link = any(form in plain for form in forms)
        return None if has_link else unsubscribe_url, None if has_address else self.address

    def _is_typed_in(self, plain: str) -> bool:
        """Whether the lines of the address are all there, wherever."""
        seen = " ".join(plain.split())
        return all(" ".join(line.split()) in seen for line in self.address.split("\n"))

    def _headers(self, person: Person, envelope: Envelope, subject: str, state: State) -> list[str]:
        recipient = mime.mail_address(person.email_address)
        if recipient is None:
            state.warn("The address has no form that mail servers without SMTPUTF8 take")
        headers = [
            *self.from_headers,
            f"To: {recipient or 'undisclosed-recipients:;'}",
            mime.unstructured("Subject", subject),
            mime.date(envelope.date),
            f"Message-ID: <{envelope.message_id}>",
            f"List-Unsubscribe: <{envelope.unsubscribe_url}>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        ]
        if envelope.list_id:
            headers.append(f"List-Id: <{envelope.list_id}>")
        return headers

    def _values(self, person: Person, envelope: Envelope, state: State, *, is_html: bool) -> dict[str, object]:
        """What Liquid sees: Kit's variables."""
        fields = {key: clean(value) if value else value for key, value in person.fields.items()}
        url = clean(envelope.unsubscribe_url)
        values: dict[str, object] = {
            "subscriber": fields
            | {
                "first_name": clean(person.first_name or "") or None,
                "email_address": clean(person.email_address),
                "id": person.subscriber_id,
            },
            "unsubscribe_url": url,
            "unsubscribe_link": f"Unsubscribe: {url}",
            "subscriber_preferences_url": url,
            "subscriber_preferences_link": f"Update your preferences: {url}",
            "address": self.address,
            "now": envelope.date,
            "today": envelope.date.date(),
        }
        if is_html:
            values["unsubscribe_link"] = layout.html_link(url, html.LINK_TEXTS["unsubscribe"])
            values["subscriber_preferences_link"] = layout.html_link(url, html.LINK_TEXTS["subscriber_preferences"])
            values["address"] = self.html_address
        html_values = partial(self._values, person, envelope, state, is_html=True)
        values["snippet"] = Snippets(self, values, html_values, state, is_html=is_html)
        return values

    def snippet_template(self, key: str, *, is_html: bool) -> BoundTemplate | None:
        """A snippet, parsed for where it stands (a block is always HTML); None when it does not exist or is broken."""
        parsed = self.liquid.snippets
        if (key, is_html) not in parsed:
            parsed[key, is_html] = self._parse_snippet(key, is_html=is_html)
        return parsed[key, is_html]

    def _parse_snippet(self, key: str, *, is_html: bool) -> BoundTemplate | None:
        if is_html and key in self.liquid.page.snippets:
            return _parsed_or_none(HTML, self.liquid.page.snippets[key])
        snippet = self.source.snippets.get(key)
        if snippet is None:
            return None
        source = clean(snippet.source)
        if snippet.kind == "block":
            return _parsed_or_none(HTML, source)
        return _parsed_or_none(PLAIN if is_html else TEXT, source)


@dataclass(frozen=True, slots=True)
class MessageStencil:
    """A whole message, cut (stencil.py)."""

    holes: list[stencil.Hole]
    subject: stencil.Stencil
    text: stencil.BodyStencil
    html: stencil.BodyStencil
    warnings: tuple[str, ...]

    @classmethod
    def cut(
        cls, holes: list[stencil.Hole], marked: Iterable[str], boundary: str, warnings: Iterable[str]
    ) -> "MessageStencil":
        """marked  subject, text part and HTML part, with marks for the holes"""
        subject, plain, page = marked
        return cls(
            holes,
            stencil.Stencil(subject, len(holes)),
            stencil.BodyStencil(plain, len(holes), "text/plain", boundary, is_html=False),
            stencil.BodyStencil(page, len(holes), "text/html", boundary, is_html=True),
            tuple(warnings),
        )

    @property
    def marked(self) -> list[str]:
        """What it was cut from."""
        return [self.subject.marked, self.text.marked, self.html.marked]


def _known(person: Person, envelope: Envelope) -> dict[str, str | None]:
    """Values by the keys of holes, as `_values` gives them to Liquid."""
    known = dict(person.fields)
    known.update(first_name=person.first_name, email_address=person.email_address)
    known[""] = envelope.unsubscribe_url
    return known


class Snippets(Mapping[str, object]):
    """`snippet` in Liquid: each snippet rendered when it is asked for, at most once per message as HTML and as text."""

    def __init__(
        self,
        email: CompiledEmail,
        values: dict[str, object],
        html_values: Callable[[], dict[str, object]],
        state: State,
        *,
        is_html: bool,
    ) -> None:
        self.email, self.state, self.is_html = email, state, is_html
        self.values_, self.html_values = values, html_values  # the second for blocks, wherever they stand

    def __getitem__(self, key: str) -> object:
        if (key, self.is_html) not in self.state.done:
            self.state.done[key, self.is_html] = self._rendered(key)
        return self.state.done[key, self.is_html]

    def _rendered(self, key: str) -> str:
        state = self.state
        template = self.email.snippet_template(key, is_html=self.is_html) if isinstance(key, str) else None
        name = str(key).partition("#")[0]  # `card#2` is the snippet `card` with the styles of one place
        if template is None or name in state.active or len(state.active) >= liquid_render.MAX_SNIPPET_DEPTH:
            reason = "is nested too deeply" if template else "does not exist or is not valid"
            state.warn(f"snippet.{name[:80]} {reason}")
            return ""
        snippet = self.email.source.snippets[name]
        state.spend(len(snippet.source) // PARSED_PER_STEP)
        is_block_in_text = not self.is_html and snippet.kind == "block"
        state.active.append(name)
        rendered = liquid_render.render(template, self.html_values() if is_block_in_text else self.values_, state)
        state.active.pop()
        if is_block_in_text:
            state.spend(len(rendered) // TEXT_PER_STEP)
            return text.html_to_text(rendered)
        return Markup(rendered) if self.is_html else rendered

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return ""


def compile_email(source: EmailSource) -> CompiledEmail:
    """The part of an email's version that is the same for all people. Takes some milliseconds.

    Broken Liquid is refused when it is saved. If some gets here all the same, that part is sent with the Liquid as
    empty as possible, and `render` warns. Raises ValueError when `from_address` cannot be written in a header.
    """
    body = clean(source.content or "")
    template = None if source.template_html is None else clean(source.template_html)
    merged = html.merge(template, body, layout.default_template(source.direction))
    return with_page(source, _page(html.speaking(merged, source.language, source.direction), source))


def with_page(source: EmailSource, page: html.Finished) -> CompiledEmail:
    """With the HTML that compiling this source made before. Raises ValueError like `compile_email`."""
    address = _address(source)
    return CompiledEmail(
        source=source,
        boundary=_boundary(source),
        from_headers=_from_headers(source),
        liquid=Liquid(source.subject, source.preview_text or "", page),
        address=address,
        html_address=layout.html_address(address),
    )


def _page(merged: str, source: EmailSource) -> html.Finished:
    blocks = {key: snippet.source for key, snippet in source.snippets.items() if snippet.kind == "block"}
    inline = {key: snippet.source for key, snippet in source.snippets.items() if key not in blocks}
    texts = [key for key, text in inline.items() if not html.brings_markup(text)]
    return html.finish(merged, preheader=bool(source.preview_text), snippets=blocks, texts=texts)


def _parsed(part: str, source: str, problems: list[str], *, is_html: bool) -> BoundTemplate:
    environment = HTML if is_html else TEXT
    try:
        return parse(environment, source)
    except LiquidError as error:
        problems.append(f"Invalid Liquid in {part}: {error.message}")
        return parse(environment, html.without_liquid(source))


def _boundary(source: EmailSource) -> str:
    return "=_dripstone_" + hashlib.sha256(repr(source).encode("utf-8", "replace")).hexdigest()[:24]


def _address(source: EmailSource) -> str:
    return "\n".join(line.strip() for line in clean(source.postal_address or "").strip().split("\n"))


def _parsed_or_none(environment: TolerantEnvironment, source: str) -> BoundTemplate | None:
    try:
        return parse(environment, source)
    except LiquidError:
        return None


def _from_headers(source: EmailSource) -> list[str]:
    headers = [mime.mailbox("From", source.from_name, source.from_address)]
    return [*headers, mime.mailbox("Reply-To", "", source.reply_to)] if source.reply_to else headers


__all__ = ["CompiledEmail", "EmailSource", "Envelope", "Person", "Rendered", "SnippetSource", "compile_email"]
