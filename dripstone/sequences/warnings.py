"""Warns when an email is saved about Liquid that will come out empty; this is no reason to refuse it (R18)."""

from collections.abc import Iterable

from dripstone.content import liquid
from dripstone.content.models import Snippet
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import CustomField

OWN_FIELDS = {"first_name", "email_address", "id"}


def of_email(email: SequenceEmail) -> list[str]:
    """Sentences about the Liquid of an email, each once, in the order of its parts."""
    sentences: dict[str, None] = {}
    for part in ("subject", "preview_text", "content"):
        references = liquid.variables(getattr(email, part) or "")
        sentences |= dict.fromkeys(_about(part, references, email.account_id))
    if opening := liquid.tag_in_entities(email.content or ""):
        sentences[f"content: {opening} is text and begins no Liquid; readers will see it as a tag"] = None
    return list(sentences)


def _about(part: str, references: liquid.References, account_id: int) -> Iterable[str]:
    snippets = Snippet.objects.filter(account_id=account_id, key__in=references.snippets)
    for key in sorted(references.snippets - set(snippets.values_list("key", flat=True))):
        yield f"{part}: there is no snippet {key}; nothing will stand in its place"
    fields = CustomField.objects.filter(account_id=account_id, key__in=references.fields)
    known = OWN_FIELDS | set(fields.values_list("key", flat=True))
    for key in sorted(references.fields - known):
        yield f"{part}: there is no custom field {key}; nothing will stand in its place"
    for key in sorted(references.without_default & known):
        yield f'{part}: subscriber.{key} has no fallback for people without one; add | default: "…"'
    for key in sorted(references.as_numbers & known):
        yield (
            f"{part}: subscriber.{key} is text: neither equal to a number nor greater or less; "
            f"write {liquid.as_number(key)} and compare number"
        )
    for name in sorted(references.unknown):
        yield f"{part}: {name} means nothing here; nothing will stand in its place"
