"""Letters of a batch: compiled once per version, whoever sends them, and kept as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.content import precompiled
from dripstone.content.compile import Envelope, Person, compile_email
from dripstone.content.html import Finished
from dripstone.content.models import EmailTemplate, Precompiled, Snippet
from dripstone.engine import claim, letters, plan
from dripstone.engine.kept import Kept
from dripstone.engine.letters import Letter
from dripstone.sequences.models import Sequence
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

database = pytest.mark.django_db
NOW = MONDAY_9
PERSON = Person(7, "rita@example.org", "Rita")
ENVELOPE = Envelope("7@example.com", datetime(2026, 11, 23, 9, tzinfo=UTC), "https://example.com/u/7")


def letter_of(sequence: Sequence, n_people: int = 1) -> Letter:
    """As the next batch has it, in which so many people get the first email."""
    for _ in range(n_people):
        make_enrollment(sequence, make_subscriber(sequence.account))
    plan.everything_due(NOW)
    found = letters.of(claim.take("worker", NOW), NOW).emails[sequence.emails.earliest("position").pk]
    assert found is not None
    return found


@database
def test_accounts_that_send_the_same_letter_share_it_and_each_signs_its_own() -> None:
    mine, yours = (
        letter_of(make_sequence(make_account(name, postal_address=f"{name} Lane"), {"delay_value": 0}))
        for name in ("Alice", "Mallory")
    )
    assert mine.compiled.liquid is yours.compiled.liquid
    for letter, name in ((mine, "Alice"), (yours, "Mallory")):
        assert letter.compiled.from_headers[0].startswith(f"From: {name} <{name.lower()}")
        assert letter.compiled.address == f"{name} Lane"
    assert mine.compiled.boundary != yours.compiled.boundary


@database
def test_a_letter_with_another_snippet_is_another_letter() -> None:
    greetings = []
    for name in ("Alice", "Mallory"):
        account = make_account(name)
        stamps = {"created_at": NOW, "updated_at": NOW}
        Snippet.objects.create(
            account=account, name="Hi", key="hi", snippet_type="inline", content=f"Hi from {name}", **stamps
        )
        sequence = make_sequence(account, {"delay_value": 0, "content": "<p>{{ snippet.hi }}</p>"})
        letter = letter_of(sequence)
        greetings.append("Hi from Alice" in letter.compiled.render(PERSON, ENVELOPE).html)
    assert greetings == [True, False]


@database
def test_the_emails_own_template_goes_before_the_sequences_and_that_before_the_accounts() -> None:
    def template(account: Account, name: str, **values: Any) -> EmailTemplate:
        html = f"<i>{name}</i>{{{{ message_content }}}}"
        return EmailTemplate.objects.create(
            account=account, name=name, html=html, created_at=NOW, updated_at=NOW, **values
        )

    account = make_account()
    emails = make_sequence(account, {"delay_value": 0}), make_sequence(account, {"delay_value": 0})
    assert letter_of(emails[0]).compiled.source.template_html is None
    template(account, "account's", is_default=True)
    assert letter_of(emails[0]).compiled.source.template_html == "<i>account's</i>{{ message_content }}"
    Sequence.objects.filter(pk=emails[1].pk).update(email_template=template(account, "sequence's"))
    assert letter_of(emails[1]).compiled.source.template_html == "<i>sequence's</i>{{ message_content }}"
    emails[1].emails.update(email_template=template(account, "email's"))
    assert letter_of(emails[1]).compiled.source.template_html == "<i>email's</i>{{ message_content }}"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets all letters, as a process that has just begun."""

    def forget() -> None:
        monkeypatch.setattr(letters, "_bodies", Kept(letters.MOST_BYTES))
        monkeypatch.setattr(letters, "_versions", Kept(letters.MOST_BYTES))

    forget()
    return forget


@database
def test_a_process_that_meets_a_letter_again_reads_what_compiling_made(forgetful: Callable[[], None]) -> None:
    sequence = make_sequence(make_account(), {"delay_value": 0, "content": "<p>Once {{ subscriber.first_name }}</p>"})
    expected = letter_of(sequence).compiled.written(PERSON, ENVELOPE)
    row = Precompiled.objects.get()
    assert row.account == sequence.account
    forgetful()
    email = precompiled.unpack(letter_of(sequence).compiled.source, bytes(row.packed))
    assert email is not None
    email.liquid.page = Finished("<p>As kept</p>", {})
    email.stencil = None
    Precompiled.objects.update(packed=precompiled.pack(email))
    forgetful()
    assert "As kept" in letter_of(sequence).compiled.render(PERSON, ENVELOPE).html
    Precompiled.objects.update(packed=b"no zlib")
    forgetful()
    assert letter_of(sequence).compiled.written(PERSON, ENVELOPE) == expected


@database
def test_a_letter_whose_text_template_snippet_or_sender_changed_is_compiled_anew(forgetful: Callable[[], None]) -> None:
    account = make_account()
    stamps = {"account": account, "created_at": NOW, "updated_at": NOW}
    snippet = Snippet.objects.create(name="Hi", key="hi", snippet_type="inline", content="Hi", **stamps)
    template = EmailTemplate.objects.create(name="T", html="<i>{{ message_content }}", is_default=True, **stamps)
    sequence = make_sequence(account, {"delay_value": 0, "content": "<p>{{ snippet.hi }}</p>"})
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: Snippet.objects.filter(pk=snippet.pk).update(content="Ho"),
        lambda: EmailTemplate.objects.filter(pk=template.pk).update(html="<b>{{ message_content }}"),
        lambda: sequence.emails.update(content="<p>{{ snippet.hi }}!</p>"),
        lambda: account.sending_addresses.update(from_name="Alison"),
        lambda: Account.objects.update(postal_address="2 Long Lane"),
        lambda: Account.objects.update(language="de", direction="rtl"),
    ]
    for n, change in enumerate(changes, 1):
        change()
        forgetful()
        found = letter_of(sequence).compiled
        assert found.written(PERSON, ENVELOPE) == compile_email(found.source).written(PERSON, ENVELOPE)
        assert Precompiled.objects.count() == n


@database
def test_the_published_emails_of_a_sequence_are_compiled_before_anybody_reads_them(
    forgetful: Callable[[], None],
) -> None:
    sequence = make_sequence(make_account(), {"delay_value": 0}, {"content": "<p>Two</p>"}, {"published": False})
    letters.make_ready(sequence.pk, NOW)
    kept = set(Precompiled.objects.values_list("pk", flat=True))
    assert len(kept) == 2
    forgetful()
    letters.make_ready(sequence.pk, NOW)
    assert letter_of(sequence)
    assert set(Precompiled.objects.values_list("pk", flat=True)) == kept


@database
def test_a_preview_keeps_nothing(forgetful: Callable[[], None]) -> None:
    email = make_sequence(make_account(), {"delay_value": 0}).emails.get()
    assert letters.of_email(email, NOW) is not None
    assert not Precompiled.objects.exists()


@database
def test_a_letter_keeps_the_note_of_its_last_use_to_the_week_and_goes_when_nobody_uses_it(
    forgetful: Callable[[], None],
) -> None:
    letter_of(make_sequence(make_account(), {"delay_value": 0}))
    row = Precompiled.objects.get()
    for days, noted in ((6, 0), (8, 8), (9, 8)):
        assert precompiled.read([row.digest], NOW + timedelta(days=days))
        row.refresh_from_db()
        assert row.used_at == NOW + timedelta(days=noted)
    assert precompiled.forget_unused(row.used_at + precompiled.UNUSED) == 0
    assert precompiled.forget_unused(row.used_at + precompiled.UNUSED + timedelta(seconds=1)) == 1


@database
def test_whoever_keeps_a_letter_first_has_kept_it() -> None:
    account = make_account()
    for packed in (b"first", b"second"):
        precompiled.keep({"d": (account.pk, packed)}, NOW)
    precompiled.keep({"large": (account.pk, bytes(precompiled.MOST_BYTES + 1))}, NOW)
    assert precompiled.read(["d", "large"], NOW) == {"d": b"first"}


@database
def test_many_letters_cost_as_many_statements_as_one() -> None:
    counts = []
    for n in (1, 20):
        for _ in range(n):
            sequence = make_sequence(make_account(), {"delay_value": 0})
            make_enrollment(sequence, make_subscriber(sequence.account))
        plan.everything_due(NOW)
        batch = claim.take("worker", NOW)
        with CaptureQueriesContext(connection) as statements:
            assert len(letters.of(batch, NOW).emails) == n
        counts.append(len(statements))
    assert counts[0] == counts[1]


KEYS = st.integers(0, 9)


@given(st.lists(st.tuples(KEYS, st.integers(1, 80) | st.none())))
def test_what_was_used_last_is_kept_while_there_is_room(acts: list[tuple[int, int | None]]) -> None:
    kept: Kept[int, int] = Kept(60)
    model: OrderedDict[int, int] = OrderedDict()
    for key, size in acts:
        if size is None:
            assert kept.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
            continue
        kept.keep(key, size, size)
        model.pop(key, None)
        model[key] = size
        while sum(model.values()) > 60 and len(model) > 1:
            model.popitem(last=False)
    assert {key: kept.get(key) for key in range(10)} == {key: model.get(key) for key in range(10)}


def test_what_is_too_large_is_kept_until_something_else_comes() -> None:
    kept: Kept[str, str] = Kept(100)
    kept.keep("large", "value", 101)
    assert kept.get("large") == "value"
    kept.keep("small", "value", 100)
    assert kept.get("large") is None
    assert kept.get("small") == "value"
