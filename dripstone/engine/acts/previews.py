"""An email as one person would get it, before it is saved or sent: to look at, or as a test to users of the account.
And as one person got it.

Takes       an email of a sequence, with members that need not be saved; or a delivery
Leaves      nothing, or a notice for each address: it belongs to nobody's place and is in no statistics
The message is made by the code that sends (letters.py, content/compile.py), as for a delivery that does not exist.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dripstone.accounts import members
from dripstone.accounts.models import Account
from dripstone.content import gaps, liquid, snippets, templates, trial
from dripstone.content.compile import EmailSource, Envelope, Person, Rendered, SnippetSource, compile_email
from dripstone.content.liquid_cost import OverBudget
from dripstone.content.models import Snippet, SnippetVersion
from dripstone.engine import editions, identity, letters, notices, render
from dripstone.engine.models import Delivery, Edition
from dripstone.errors import Invalid, NotFound
from dripstone.given import ABSENT, Checked, Given, as_items, plain_address
from dripstone.sequences import email_checks, verbs, versions
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.warnings import OWN_FIELDS
from dripstone.subscribers.models import CustomField, Subscriber

MOST_ADDRESSES = 10
UNKNOWN = "It is not known what this email was made of"
CLIPPED_AT = 102_400  # bytes of HTML after which Gmail hides the rest of a message

SAMPLE_SUBJECT = "Three things about limestone"
SAMPLE_PREVIEW_TEXT = "And why water always wins"
SAMPLE_CONTENT = """
<h1>Three things about limestone</h1>
<p>Hello {{ subscriber.first_name | default: "there" }},</p>
<p>this is how a letter looks in this template. It has a paragraph that is long enough to fill more than one line, with
<b>bold</b> and <i>slanted</i> words in it, and <a href="https://example.com/caves">a link to read on</a>.</p>
<h2>What comes first</h2>
<ul><li>Rain takes up carbon dioxide.</li><li>It dissolves the stone, a grain at a time.</li></ul>
<blockquote>Give a drop ten thousand years.</blockquote>
<p>Until next week<br>Ann</p>
"""
SAMPLE_OF_BLOCK = "<p>Here ends what stands before the snippet.</p>\n{}\n<p>And here the letter goes on after it.</p>"
SAMPLE_OF_INLINE = "<p>These words stand before it: {} – and these go on after it.</p>"

_NO_DELIVERY = 0
_NO_SENDER = "The sending address cannot be written in a mail header"


@dataclass(frozen=True, slots=True)
class Preview:
    rendered: Rendered
    warnings: list[str]


def of(sequence: Sequence, email_id: int, given: Given, now: datetime, *, shows_gaps: bool = False) -> Preview:
    """given   any of `subject`, `preview_text`, `content`, `email_template_id` (saved or not); `subscriber_id`
    shows_gaps   where a person's value is empty, say so (gaps.py); not in `data`

    Raises NotFound for an email or subscriber that is not there, and Invalid for what could not be saved.
    """
    email = verbs.email_of(sequence, email_id)
    values = _read(sequence.account, email, given).sound()
    rendered = _rendered(sequence.account, email, values, now, gaps.GAP if shows_gaps else "")
    return Preview(rendered, [*rendered.warnings, *_about_size(rendered)])


def send_test(sequence: Sequence, email_id: int, given: Given, now: datetime) -> list[Delivery]:
    """given   the same, and `to`: addresses of users of the account; left out, its first user

    Raises the same, and Invalid for other addresses, for more than ten, and for a message that is too long.
    """
    account, email = sequence.account, verbs.email_of(sequence, email_id)
    body = _read(account, email, given)
    _addresses(body, account)
    values = body.sound()
    rendered = _rendered(account, email, values, now)
    written = notices.Written(rendered.subject, rendered.text, rendered.html)
    addresses = values.get("to") or [_owner(account)]
    return notices.test(account, sequence.sending_address, addresses, written, now)


def of_template(account: Account, html: str, given: Given, now: datetime) -> Preview:
    """A letter of sample text in a template that need not be saved, with what is empty marked.

    given   `subscriber_id`

    Raises as `of` does.
    """
    templates.check(account.pk, html)
    return _sample(account, SAMPLE_CONTENT, given, now, template_html=html)


def of_snippet(account: Account, snippet: Snippet, given: Given, now: datetime) -> Preview:
    """A snippet, whose text need not be saved, among sample text."""
    tag = f"{{{{ snippet['{snippet.key}'] }}}}"
    around = SAMPLE_OF_BLOCK if snippet.snippet_type == Snippet.Type.BLOCK else SAMPLE_OF_INLINE
    snippets.check(snippet)
    return _sample(account, around.format(tag), given, now, snippet=snippet)


def _sample(
    account: Account,
    content: str,
    given: Given,
    now: datetime,
    *,
    template_html: str | None = None,
    snippet: Snippet | None = None,
) -> Preview:
    body = Checked(given)
    body.drop_nulls("subscriber_id")
    body.id("subscriber_id")
    reader = _person(account, body.sound().get("subscriber_id"))
    source = _sample_source(account, content, template_html, snippet)
    try:
        compiled = compile_email(source)
    except ValueError:
        raise Invalid(_NO_SENDER) from None
    letter = letters.Letter(compiled, now.astimezone(ZoneInfo(account.time_zone)), "")
    try:
        rendered = _with_gaps(compiled.render(reader, _envelope(letter), gap=gaps.GAP))
    except OverBudget as over:
        raise Invalid(trial.sentence(over)) from None
    return Preview(rendered, [*rendered.warnings, *_about_size(rendered)])


def _sample_source(account: Account, content: str, template_html: str | None, snippet: Snippet | None) -> EmailSource:
    """As an email of the account would be, in its default template unless another is given."""
    sender = account.sending_addresses.order_by("-is_default", "pk").first()
    default = account.email_templates.filter(is_default=True).values_list("html", flat=True)
    rows = [*account.snippets.all(), *([snippet] if snippet else [])]  # of the same key the last counts
    return EmailSource(
        subject=SAMPLE_SUBJECT,
        preview_text=SAMPLE_PREVIEW_TEXT,
        content=content,
        template_html=template_html or default.first(),
        snippets={row.key: SnippetSource(row.snippet_type, row.source) for row in rows},
        from_name=sender.from_name if sender else account.name,
        from_address=sender.email_address if sender else account.primary_email_address,
        postal_address=account.postal_address,
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """values_may_have_changed  the person's own, which are today's: since this was sent they were edited, or a custom
    field that it prints is gone"""

    rendered: Rendered
    edition: Edition
    snippets: list[SnippetVersion]
    values_may_have_changed: bool


def as_sent(delivery: Delivery) -> Sent:
    """The message as it was made, of the versions it was made of. The unsubscribe link alone is an example's.

    Raises NotFound if that is not known: it has not been sent, or by a release that kept no versions.
    """
    if delivery.edition_id is None or delivery.subscriber_id is None or delivery.ended_at is None:
        raise NotFound(UNKNOWN)
    rows = Edition.objects.select_related("email_version", "template_version")
    edition = rows.filter(pk=delivery.edition_id, account=delivery.account_id).first()
    if edition is None:
        raise NotFound(UNKNOWN)
    source = editions.source(edition)
    reader = _person(delivery.account, delivery.subscriber_id)
    envelope = Envelope(
        message_id=identity.message_id(delivery.pk),
        date=delivery.ended_at.astimezone(ZoneInfo(edition.time_zone)),
        unsubscribe_url=identity.example_unsubscribe_url(),
        list_id=None if delivery.sequence_id is None else identity.list_id(delivery.sequence_id),
    )
    rendered = compile_email(source).render(reader, envelope)
    return Sent(rendered, edition, editions.snippets(edition), _may_have_changed(delivery, source, reader))


def _may_have_changed(delivery: Delivery, source: EmailSource, reader: Person) -> bool:
    """A message is made some time after it was planned."""
    changed_at = Subscriber.objects.values_list("updated_at", flat=True).get(pk=reader.subscriber_id)
    texts = (source.subject, source.preview_text, source.content, source.template_html)
    snippets = (snippet.source for snippet in source.snippets.values())
    printed = {key for text in (*texts, *snippets) for key in liquid.variables(text or "").fields}
    is_gone = not printed <= {*reader.fields, *OWN_FIELDS}
    return is_gone or changed_at > delivery.planned_at


def _read(account: Account, email: SequenceEmail, given: Given) -> Checked:
    body = Checked(given)
    body.drop_nulls("content", "subscriber_id", "to")  # null keeps the content in an update too
    email_checks.printed(body, account, email)
    body.id("subscriber_id")
    return body


def _addresses(body: Checked, account: Account) -> None:
    given = body.take("to", as_items)
    if given is ABSENT:
        return
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        body.wrong("to", "must be an array of email addresses")
        return
    addresses = list(dict.fromkeys(plain_address(one) for one in given))
    users = set(members.users_of(account).values_list("email", flat=True))
    if not 1 <= len(addresses) <= MOST_ADDRESSES:
        body.wrong("to", f"must have 1 to {MOST_ADDRESSES} addresses")
    elif not users.issuperset(addresses):
        body.wrong("to", "must be addresses of users of this account")
    else:
        body.values["to"] = addresses


def _owner(account: Account) -> str:
    first = members.users_of(account).first()
    if first is None:
        raise Invalid("to can't be left out: the account has no user")
    return first.email


def _rendered(account: Account, email: SequenceEmail, values: dict[str, Any], now: datetime, gap: str = "") -> Rendered:
    letter = letters.of_email(_changed(email, values), now)
    if letter is None:
        raise Invalid(_NO_SENDER)
    reader = _person(account, values.get("subscriber_id"))
    try:
        rendered = letter.compiled.render(reader, _envelope(letter), gap=gap)
    except OverBudget as over:
        raise Invalid.member(over.part, trial.sentence(over)) from None
    return _with_gaps(rendered) if gap else rendered


def _with_gaps(rendered: Rendered) -> Rendered:
    return replace(
        rendered,
        subject=gaps.in_text(rendered.subject),
        preview_text=gaps.in_text(rendered.preview_text),
        text=gaps.in_text(rendered.text),
        html=gaps.in_html(rendered.html),
    )


def _changed(email: SequenceEmail, values: dict[str, Any]) -> SequenceEmail:
    """Never saved."""
    for name in versions.PRINTED:
        if name in values:
            setattr(email, name, values[name])
    return email


def _envelope(letter: letters.Letter) -> Envelope:
    """Of no delivery, so that its link takes nobody out of anything."""
    return Envelope(
        message_id=identity.message_id(_NO_DELIVERY),
        date=letter.date,
        unsubscribe_url=identity.example_unsubscribe_url(),
        list_id=letter.list_id,
    )


def _person(account: Account, subscriber_id: int | None) -> Person:
    if subscriber_id is None:
        return _example(account)
    own = Subscriber.objects.filter(account=account, pk=subscriber_id).values_list("pk", flat=True)
    for person, _ in render.people(own, [account.pk]).values():
        return person
    raise NotFound


def _example(account: Account) -> Person:
    """Somebody of whom everything is known: each custom field says what it is."""
    fields = CustomField.objects.filter(account=account)
    return Person(0, "robin@example.com", "Robin", {field.key: f"[{field.label}]" for field in fields})


def _about_size(rendered: Rendered) -> list[str]:
    size = len(rendered.html.encode())
    return [f"The HTML has {size // 1024} KB: Gmail hides what comes after the first 100"] if size > CLIPPED_AT else []
