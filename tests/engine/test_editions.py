"""A delivery knows what it was made of, exactly; and the mail can be shown as it was."""

from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.content import snippets, templates
from dripstone.content.compile import EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.models import EmailTemplate, Snippet, SnippetVersion, TemplateVersion
from dripstone.engine import editions, queries
from dripstone.engine.acts import edits, previews, undecided
from dripstone.engine.editions import Print
from dripstone.engine.models import Delivery, Edition
from dripstone.errors import NotFound
from dripstone.senders.base import Answer
from dripstone.senders.memory import accept
from dripstone.sequences.models import EmailVersion, Sequence, SequenceEmail
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber
from tests.driving import Engine
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber
from tests.racing import together

database = pytest.mark.django_db
LATER = MONDAY_9 + timedelta(hours=1)
CONTENT = "<p>Dear {{ subscriber.first_name }}, {{ snippet.hello }} {{ snippet['card'] }}</p>"
FRAME = "<h1>{{ snippet.brand }}</h1>{{ message_content }}"


def make_snippet(account: Account, name: str, text: str) -> Snippet:
    return snippets.create(account.pk, {"name": name, "snippet_type": "inline", "content": text}, MONDAY_9)


@pytest.fixture
def course(alice: Account) -> Sequence:
    texts = {"hello": "Hi", "card": "From {{ snippet.name }}", "name": "Ann", "brand": "B", "other": "x"}
    for name, text in texts.items():
        make_snippet(alice, name, text)
    templates.create(alice.pk, {"name": "Frame", "html": FRAME, "is_default": True}, MONDAY_9)
    sequence = make_sequence(alice)
    add(sequence, content=CONTENT, delay_value=0)
    return sequence


def add(sequence: Sequence, **values: Any) -> SequenceEmail:
    body = {"subject": "Hello", "delay_value": 1, "delay_unit": "days", "published": True, **values}
    email = edits.create_email(sequence.account, sequence.pk, body, MONDAY_9).email
    assert email is not None
    return email


def enter(engine: Engine, sequence: Sequence) -> Delivery:
    """Somebody new gets the first email."""
    place = make_enrollment(sequence, make_subscriber(sequence.account), engine.clock.now())
    engine.run()
    return place.deliveries.get()


def edition(delivery: Delivery) -> Edition:
    delivery.refresh_from_db()
    assert delivery.edition is not None
    return delivery.edition


def test_a_sent_email_names_the_versions_it_was_made_of(engine: Engine, course: Sequence) -> None:
    made = edition(enter(engine, course))
    assert (made.email_version.number, made.email_version.content) == (1, CONTENT)
    assert made.template_version is not None
    assert made.template_version.html == FRAME
    used = [(one.key, one.number) for one in editions.snippets(made)]
    assert used == [("brand", 1), ("card", 1), ("hello", 1), ("name", 1)]
    sender = course.sending_address
    assert (made.from_name, made.from_address) == (sender.from_name, sender.email_address)
    assert made.postal_address == course.account.postal_address


def test_people_who_get_the_same_share_an_edition_and_whatever_changes_makes_another(
    engine: Engine, course: Sequence
) -> None:
    def change(snippet: str) -> None:
        snippets.update(Snippet.objects.get(key=snippet), {"content": "new"}, LATER)

    def edit(**values: Any) -> None:
        edits.update_email(course.account, course.pk, course.emails.get().pk, values, LATER)

    def of_sender(**values: Any) -> None:
        type(course.sending_address).objects.update(**values)

    first = edition(enter(engine, course))
    assert edition(enter(engine, course)) == first
    change("other")
    edit(position=4, delay_value=0)
    assert edition(enter(engine, course)) == first
    seen = {first.pk}
    changes: list[Callable[[], Any]] = [
        lambda: change("name"),
        lambda: change("brand"),
        lambda: edit(subject="Now"),
        lambda: edit(subject="Hello"),
        lambda: of_sender(from_name="Ann"),
        lambda: Account.objects.update(postal_address="2 Short Street"),
        lambda: Sequence.objects.update(time_zone="Asia/Tokyo"),
        lambda: EmailTemplate.objects.update(html="{{ message_content }}", version=2),
    ]
    for n, act in enumerate(changes, 2):
        act()
        seen.add(edition(enter(engine, course)).pk)
        assert len(seen) == n
    assert list(EmailVersion.objects.order_by("number").values_list("subject", flat=True)) == ["Hello", "Now", "Hello"]


def test_a_mail_is_shown_as_it_was_whatever_became_of_its_parts(engine: Engine, course: Sequence) -> None:
    delivery = enter(engine, course)
    was = message_from_bytes(engine.mail.messages[-1].data, policy=policy.default)
    edits.update_email(course.account, course.pk, course.emails.get().pk, {"content": "x", "subject": "y"}, LATER)
    snippets.update(Snippet.objects.get(key="hello"), {"content": "new"}, LATER)
    Snippet.objects.filter(key="card").delete()
    EmailTemplate.objects.all().delete()
    Account.objects.update(postal_address="2 Short Street")
    type(course.sending_address).objects.update(from_name="Ann", email_address="ann@example.com")
    Sequence.objects.update(time_zone="Asia/Tokyo")
    delivery.refresh_from_db()
    sent = previews.as_sent(delivery)
    now = message_from_bytes(sent.rendered.data, policy=policy.default)
    of_delivery = {"List-Unsubscribe", "Content-Type"}
    assert {key: now[key] for key in now if key not in of_delivery} == {
        key: was[key] for key in was if key not in of_delivery
    }
    link = str(was["List-Unsubscribe"]).strip("<>"), str(now["List-Unsubscribe"]).strip("<>")
    for kind in ("plain", "html"):
        bodies = [mail.get_body((kind,)) for mail in (was, now)]
        texts = [body.get_content() for body in bodies if body is not None]
        assert texts[0].replace(link[0], link[1]) == texts[1]
    assert not sent.values_may_have_changed


def test_a_person_who_was_edited_since_is_said_to_be(engine: Engine, course: Sequence) -> None:
    delivery = enter(engine, course)
    assert not previews.as_sent(delivery).values_may_have_changed
    Subscriber.objects.update(first_name="Mary", updated_at=engine.clock.now() + timedelta(minutes=1))
    sent = previews.as_sent(delivery)
    assert sent.values_may_have_changed
    assert "Dear Mary" in sent.rendered.html


def test_a_field_that_is_gone_since_is_said_to_be(engine: Engine, alice: Account) -> None:
    field = fields.create(alice.pk, {"label": "City"}, MONDAY_9, cause=())[0]
    sequence = make_sequence(alice)
    add(sequence, delay_value=0, content="{{ subscriber.city | default: 'x' }}")
    delivery = enter(engine, sequence)
    assert not previews.as_sent(delivery).values_may_have_changed
    field.delete()
    assert previews.as_sent(delivery).values_may_have_changed


@pytest.mark.parametrize("kind", ["permanent", "unknown"])
def test_what_may_have_arrived_or_was_refused_is_known_too(engine: Engine, course: Sequence, kind: Any) -> None:
    engine.mail.answer = lambda message: Answer(message.delivery_id, kind, "550 no")
    delivery = enter(engine, course)
    assert edition(delivery).email_version.number == 1
    assert previews.as_sent(delivery).edition.pk == delivery.edition_id


def test_what_was_not_made_has_no_edition(engine: Engine, course: Sequence) -> None:
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", "450 later")
    delivery = enter(engine, course)
    assert (delivery.status, delivery.edition_id) == ("planned", None)
    with pytest.raises(NotFound, match="not known what"):
        previews.as_sent(delivery)


def test_an_email_that_is_sent_again_is_of_the_edition_it_went_in(engine: Engine, course: Sequence) -> None:
    engine.mail.answer = lambda message: Answer(message.delivery_id, "permanent", "550 no")
    delivery = enter(engine, course)
    edits.update_email(course.account, course.pk, course.emails.get().pk, {"subject": "Mended"}, LATER)
    assert undecided.send_again(delivery.pk, "owner", "", engine.clock.now()).edition_id is None
    engine.mail.answer = accept
    engine.run()
    assert edition(delivery).email_version.subject == "Mended"


def test_what_a_worker_of_the_release_before_sends_has_none(
    engine: Engine, course: Sequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after one of this release was put off with it."""
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", "450 later")
    delivery = enter(engine, course)
    before = queries.END_ATTEMPTS.replace(",\n    edition_id = CASE WHEN u.ready_at IS NULL THEN u.edition END", "")
    assert before != queries.END_ATTEMPTS
    monkeypatch.setattr(queries, "END_ATTEMPTS", before)
    engine.mail.answer = accept
    engine.clock.advance(hours=1)
    engine.run()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.edition_id) == ("sent", None)
    with pytest.raises(NotFound):
        previews.as_sent(delivery)


def test_a_text_that_a_server_of_the_release_before_wrote_is_kept(engine: Engine, course: Sequence) -> None:
    SequenceEmail.objects.update(subject="By the server before", version=2, updated_at=LATER)
    Snippet.objects.filter(key="hello").update(content="Hey", version=2)
    EmailTemplate.objects.update(html=f"<hr>{FRAME}", version=2)
    made = edition(enter(engine, course))
    version = made.email_version
    assert (version.number, version.subject, version.published_by) == (2, "By the server before", "")
    assert version.published_at == LATER
    assert [(one.key, one.number, one.source) for one in editions.snippets(made)][2] == ("hello", 2, "Hey")
    assert made.template_version is not None
    assert made.template_version.number == 2


def test_a_letter_without_template_or_snippets_names_none(engine: Engine, alice: Account) -> None:
    make_snippet(alice, "hello", "Hi")
    sequence = make_sequence(alice, {"delay_value": 0, "content": "A snippet of text", "preview_text": None})
    made = edition(enter(engine, sequence))
    assert (made.template_version, made.snippet_versions) == (None, [])


def test_a_preview_makes_no_edition(engine: Engine, course: Sequence) -> None:
    previews.of(course, course.emails.get().pk, {"content": "unsaved"}, MONDAY_9)
    assert Edition.objects.count() == 0


def test_a_letter_that_is_known_costs_no_statement(engine: Engine, course: Sequence) -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as statements:
            enter(engine, course)
        counts.append(sum("engine_edition" in one["sql"] for one in statements.captured_queries))
    assert counts == [3, 0]


@pytest.mark.django_db(transaction=True)
def test_an_edition_is_made_once_however_many_workers_need_it() -> None:
    account = make_account()
    email = make_sequence(account, {"content": "{{ snippet.hello }}"}).emails.get()
    rows = [editions.Snippet(n, 1, key, "inline", "x") for n, key in enumerate(("hello", "other"), 10)]
    one = a_print(account_id=account.pk, email_id=email.pk, content=email.content, snippets=tuple(rows))
    made = together(lambda: editions.of({"a": one}, MONDAY_9))
    assert made == [{"a": Edition.objects.get().pk}] * 6
    assert (EmailVersion.objects.count(), SnippetVersion.objects.count(), TemplateVersion.objects.count()) == (1, 1, 0)


def a_print(**values: Any) -> Print:
    one = Print(1, 1, 1, "Hello", None, None, None, None, (), "A", "a@example.com", "1 Lane", "UTC", "", "")
    return one._replace(**values)


KEYS = ("a", "b", "c-1", "24-7")
MENTION = st.sampled_from(
    [
        *(f"{{{{ snippet.{key} }}}}" for key in KEYS),
        *(f"{{{{ snippet['{key}'] | upcase }}}}" for key in KEYS),
        '{{ snippet [ "a" ] }}',
        "{% assign which = 'b' %}{{ snippet[which] }}",
        "{{ snippet[subscriber.first_name] }}",
        "{% assign all = snippet %}{{ all.a }}",
        "{% if snippet.a == 'x' %}y{% endif %}",
        "{% comment %}{{ snippet.a }}{% endcomment %}",
        "{% raw %}{{ snippet.b }}{% endraw %}",
        "a snippet. {{ snippets.a }} {{ mysnippet.b }}",
        "{{ snippet.nowhere }}",
        "text",
    ]
)
SOURCES = st.lists(MENTION, max_size=3).map(" ".join)


@given(SOURCES, SOURCES, SOURCES, st.fixed_dictionaries(dict.fromkeys(KEYS, SOURCES)))
def test_a_letter_prints_the_same_of_the_snippets_that_its_edition_names(
    subject: str, preview: str, content: str, bodies: dict[str, str]
) -> None:
    rows = tuple(editions.Snippet(n, 1, key, "inline", f"({key} {bodies[key]})") for n, key in enumerate(KEYS))
    used = editions._used(a_print(subject=subject, preview_text=preview, content=content, snippets=rows))
    person, envelope = Person(1, "a@example.com", "b"), Envelope("1@x", MONDAY_9, "https://x.example/u")

    def rendered(known: tuple[editions.Snippet, ...]) -> tuple[str, str, str]:
        sources = {one.key: SnippetSource(one.kind, one.source) for one in known}
        email = EmailSource(subject, "A", "a@example.com", preview, content, None, snippets=sources)
        made = compile_email(email).render(person, envelope)
        return made.subject, made.preview_text, made.html

    assert rendered(used) == rendered(rows)
