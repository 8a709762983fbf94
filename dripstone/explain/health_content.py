"""Does every email say what it is meant to? Finds missing snippets, unknown fields, missing fallbacks, and words that
came with a starter."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dripstone.content import liquid, subjects
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.content.snippets import key_for
from dripstone.explain.findings import WARNING, Finding, Mend
from dripstone.sequences import starters
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.warnings import OWN_FIELDS
from dripstone.subscribers.models import CustomField

PARTS = ("subject", "preview_text", "content")


@dataclass(frozen=True, slots=True)
class Library:
    """What the Liquid of one account can refer to."""

    snippets: dict[str, str]  # key → source
    fields: frozenset[str]
    default_template: str


@dataclass(frozen=True, slots=True)
class Use:
    """Something that an email refers to and that will not come out as it should.

    kind    "snippet" (there is none), "field" (there is none), "number" (compared with one), "fallback" (has none)
    place   a part of the email, "template", or "snippet key"
    source  of that place
    """

    kind: str
    key: str
    place: str
    source: str


def findings(emails: Mapping[Sequence, list[SequenceEmail]]) -> dict[int, list[Finding]]:
    """By sequence id; `emails` are the published ones."""
    shelves = libraries({sequence.account_id for sequence in emails})
    return {
        sequence.pk: [one for email in rows for one in _of_email(sequence, email, shelves[sequence.account_id])]
        for sequence, rows in emails.items()
    }


def libraries(accounts: set[int]) -> dict[int, Library]:
    snippets: dict[int, dict[str, str]] = defaultdict(dict)
    for row in Snippet.objects.filter(account__in=accounts):
        snippets[row.account_id][row.key] = row.source
    fields: dict[int, set[str]] = defaultdict(set)
    for account_id, key in CustomField.objects.filter(account__in=accounts).values_list("account_id", "key"):
        fields[account_id].add(key)
    templates = dict(
        EmailTemplate.objects.filter(account__in=accounts, is_default=True).values_list("account_id", "html")
    )
    return {
        account: Library(snippets[account], frozenset(fields[account] | OWN_FIELDS), templates.get(account) or "")
        for account in accounts
    }


def _of_email(sequence: Sequence, email: SequenceEmail, shelf: Library) -> Iterator[Finding]:
    path = f"/v4/sequences/{sequence.pk}/emails/{email.pk}"
    title = subjects.title(email.subject)
    if found := starters.not_replaced(email.content or ""):
        yield _not_replaced(found, title, email)
    for use in uses(list(sources(sequence, email, shelf)), shelf):
        where = f"{title} {'uses' if use.place in PARTS else f'uses, through its {use.place},'}"
        if use.kind == "snippet":
            yield _missing_snippet(use.key, where, email)
        elif use.kind == "field":
            yield _unknown_field(use.key, where, email)
        elif use.kind == "number":
            yield _compared_with_number(use.key, title, use.place, email)
        else:
            yield _no_fallback(use.key, where, use.place, use.source, path, email)


def uses(of: Iterable[tuple[str, str]], shelf: Library) -> Iterator[Use]:
    """of   (place, source), as `sources` gives them. What is missing is named once, a fallback in each place."""
    told: set[tuple[str, str]] = set()
    for place, source in of:
        used = liquid.variables(source)
        found = [("snippet", key) for key in sorted(used.snippets - set(shelf.snippets))]
        found += [("field", key) for key in sorted(used.fields - shelf.fields)]
        found += [("number", key) for key in sorted(used.as_numbers & shelf.fields)]
        for kind, key in found:
            if (kind, key) not in told:
                told.add((kind, key))
                yield Use(kind, key, place, source)
        for key in sorted(used.without_default & shelf.fields):
            if (place, key) not in told:
                told.add((place, key))
                yield Use("fallback", key, place, source)


def sources(sequence: Sequence, email: SequenceEmail, shelf: Library) -> Iterator[tuple[str, str]]:
    """Every Liquid source of the email with its place: a part, "template", or a snippet."""
    template = email.email_template or sequence.email_template
    sources = [(part, getattr(email, part) or "") for part in PARTS]
    sources.append(("template", template.html if template else shelf.default_template))
    seen: set[str] = set()
    while sources:
        place, source = sources.pop(0)
        yield place, source
        for key in sorted(liquid.variables(source).snippets & set(shelf.snippets) - seen):
            seen.add(key)
            sources.append((f"snippet {key}", shelf.snippets[key]))


def _not_replaced(found: list[str], title: str, email: SequenceEmail) -> Finding:
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    sentence = f"{title} still says {found[0]}{more}, which came with the starter for you to replace."
    return Finding("words_to_replace", WARNING, sentence, mend_by="Write your own words there.", email_id=email.pk)


def _missing_snippet(key: str, where: str, email: SequenceEmail) -> Finding:
    mend = Mend("POST", "/v4/snippets", {"name": key, "snippet_type": "inline", "content": "Your text"})
    can_be_made = key_for(key) == key
    return Finding(
        "missing_snippet",
        WARNING,
        f"{where} the snippet {key}, and there is none of that name; nothing stands in its place.",
        mend if can_be_made else None,
        "" if can_be_made else f"Take {{{{ snippet.{key} }}}} out, or put the key of a snippet that exists.",
        email.pk,
    )


def _unknown_field(key: str, where: str, email: SequenceEmail) -> Finding:
    return Finding(
        "unknown_field",
        WARNING,
        f"{where} subscriber.{key}, and there is no such custom field; nothing stands in its place.",
        Mend("POST", "/v4/custom_fields", {"label": key.replace("_", " ")}),
        email_id=email.pk,
    )


def _compared_with_number(key: str, title: str, place: str, email: SequenceEmail) -> Finding:
    where = "" if place in PARTS else f", through its {place},"
    return Finding(
        "field_compared_with_number",
        WARNING,
        f"{title}{where} compares subscriber.{key} with a number. Fields are text: neither equal to a number "
        "nor greater or less.",
        mend_by=f"Write {liquid.as_number(key)} first, and compare number.",
        email_id=email.pk,
    )


def _no_fallback(key: str, where: str, place: str, source: str, path: str, email: SequenceEmail) -> Finding:
    fallback = "there" if key == "first_name" else f"your {key.replace('_', ' ')}"
    better = re.sub(rf"(\{{\{{-?\s*subscriber\.{re.escape(key)})(?=\s*[|}}-])", rf'\1 | default: "{fallback}"', source)
    is_mended = place in PARTS and key not in liquid.variables(better).without_default
    return Finding(
        "field_without_fallback",
        WARNING,
        f"{where} subscriber.{key} without a fallback: people without one see a gap. Write, for example, "
        f'{{{{ subscriber.{key} | default: "{fallback}" }}}}.',
        Mend("PUT", path, {place: better}) if is_mended else None,
        "" if is_mended else f"Add the fallback in the {place}.",
        email.pk,
    )
