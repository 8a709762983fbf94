"""Is an email's Liquid more than a message may do? Tried on two invented people before it is saved."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from dripstone.content import liquid
from dripstone.content.compile import EmailSource, Person, SnippetSource, compile_email
from dripstone.content.liquid_cost import OverBudget
from dripstone.content.models import Snippet

DATE = datetime(2000, 1, 1, tzinfo=UTC)
MAX_SNIPPETS = 2 * liquid.MAX_TOGETHER  # characters of all snippets that one email uses


def problem(
    account_id: int,
    *,
    subject: str = "",
    preview_text: str = "",
    content: str = "",
    template_html: str | None = None,
    snippets: Mapping[str, SnippetSource] | None = None,
) -> tuple[str, str] | None:
    """The part (as in EmailSource) whose Liquid goes over the budget, and the sentence that says so; None: it fits.

    snippets  such as are about to be saved; the others are read
    """
    sources = (subject, preview_text, content, template_html or "")
    used = _used_snippets(account_id, sources, snippets or {})
    if sum(len(one.source) for one in used.values()) > MAX_SNIPPETS:
        return "content", f"content uses snippets of more than {MAX_SNIPPETS} characters in all"
    email = compile_email(
        EmailSource(subject, "", "trial@localhost", preview_text, content, template_html, snippets=used)
    )
    fields = {key for source in (*sources, *(one.source for one in used.values())) for key in _fields(source)}
    for person in people(fields):
        try:
            email.warnings(person)
        except OverBudget as over:
            return over.part, sentence(over)
    return None


def sentence(over: OverBudget) -> str:
    """The same words as for what is broken: a creator has to change the source, now."""
    where = f", at {over.where}" if over.where else ""
    return f"Invalid Liquid in {over.part}: it takes too much work for one message{where}"


def people(fields: Iterable[str]) -> tuple[Person, Person]:
    """Somebody of whom nothing is known, and somebody who has filled in everything."""
    filled = dict.fromkeys(fields, "Sample, 12 words of text that somebody could have written in a form")
    return Person(0, "nobody@example.com"), Person(1, "somebody@example.com", "Somebody", filled)


def _fields(source: str) -> frozenset[str]:
    return liquid.variables(source).fields


def _used_snippets(
    account_id: int, sources: Iterable[str], given: Mapping[str, SnippetSource]
) -> dict[str, SnippetSource]:
    """All that these sources use, directly or through others: a query per level. Ends early when it is too much."""
    used: dict[str, SnippetSource] = {}
    wanted = {key for source in sources for key in liquid.variables(source).snippets}
    n_characters = 0
    while wanted and n_characters <= MAX_SNIPPETS:
        level = {key: given[key] for key in wanted & set(given)} | _stored(account_id, wanted - set(given))
        used |= level
        n_characters += sum(len(one.source) for one in level.values())
        wanted = {key for one in level.values() for key in liquid.variables(one.source).snippets} - set(used)
    return used


def _stored(account_id: int, keys: set[str]) -> dict[str, SnippetSource]:
    rows = Snippet.objects.filter(account_id=account_id, key__in=keys) if keys else ()
    return {row.key: SnippetSource(row.snippet_type, row.source) for row in rows}
