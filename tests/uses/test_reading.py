"""What is inserted is found."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.content import liquid, snippets
from dripstone.images import store
from dripstone.uses import reading
from dripstone.uses.models import Mentions
from tests.factories import make_email, make_sequence
from tests.images.making import a_picture

KEYS = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,3}", fullmatch=True).filter(lambda key: len(key) < 40)
WAYS = (
    "{{ snippet.%s }}",
    "{{snippet['%s']}}",
    '{{- snippet["%s"] | upcase -}}',
    "{%% if snippet.%s != blank %%}x{%% endif %%}",
    "{%% assign a = snippet.%s %%}{{ a }}",
    "{%% for x in (1..2) %%}{{ snippet.%s }}{%% endfor %%}",
    "{%% unless subscriber.city %%}{{ snippet.%s | default: 'x' }}{%% endunless %%}",
    "{%% case subscriber.city %%}{%% when 'Rome' %%}{{ snippet.%s }}{%% endcase %%}",
    "{%% liquid\n  echo snippet['%s']\n%%}",
    "{%% capture c %%}<b>{{ snippet.%s }}</b>{%% endcapture %%}",
)
TEXTS = st.text(st.characters(blacklist_characters="{}%", blacklist_categories=["Cs"]), max_size=40)


@given(parts=st.lists(st.tuples(TEXTS, st.sampled_from(WAYS), KEYS), max_size=5), tail=TEXTS)
def test_what_is_inserted_is_found_and_nothing_else(parts: list[tuple[str, str, str]], tail: str) -> None:
    source = "".join(f"<p>{text}</p>{way % key}" for text, way, key in parts) + tail
    found = reading.references_in(source).snippets
    assert found == {key for _, _, key in parts} == liquid.variables(source).snippets


@pytest.mark.parametrize(
    "source",
    [
        "snippet.footer",
        "{% raw %}{{ snippet.footer }}{% endraw %}",
        "{% comment %}{{ snippet.footer }}{% endcomment %}",
        "{{ 'snippet.footer' }}",
        "{{ subscriber.snippet }}",
        "{{ snippet.footer",
    ],
)
def test_what_only_looks_like_one_is_not(source: str) -> None:
    assert reading.references_in(source).snippets == frozenset()


def mentions() -> dict[tuple[str, int], list[str]]:
    return {(row.source, row.source_id): row.snippets for row in Mentions.objects.all()}


def test_only_what_changed_is_read_again(alice: Account, now: datetime) -> None:
    sequence = make_sequence(alice)
    email = make_email(sequence, position=0, content="{{ snippet.a }}")
    for position in range(1, 4):
        make_email(sequence, position=position)
    reading.catch_up(alice.pk)
    assert mentions()["email", email.pk] == ["a"] and len(mentions()) == 4
    email.content, email.version = "{{ snippet.b }}", email.version + 1
    email.save()
    with CaptureQueriesContext(connection) as queries:
        reading.catch_up(alice.pk)
    assert mentions()["email", email.pk] == ["b"]
    assert len([one for one in queries if one["sql"].startswith("INSERT")]) == 1
    with CaptureQueriesContext(connection) as queries:
        reading.catch_up(alice.pk)
    assert len(queries) == 4  # one per kind of source


def test_each_part_of_each_kind_of_source_is_read(alice: Account, now: datetime) -> None:
    image = store.add(alice.pk, a_picture(), "a.png", now)
    sequence = make_sequence(alice)
    texts = {"subject": "{{ snippet.s }}", "preview_text": "{{ snippet.p }}", "content": f"<img src='{image.path}'>"}
    email = make_email(sequence, position=0, **texts)
    given = {"name": "Inline", "snippet_type": "inline", "content": "{{ snippet.x }}"}
    inline = snippets.create(alice.pk, given, now)
    block = {"name": "Block", "snippet_type": "block", "document_attributes": {"value_html": "{{ snippet.y }}"}}
    made = snippets.create(alice.pk, block, now)
    reading.catch_up(alice.pk)
    assert mentions() == {("email", email.pk): ["p", "s"], ("snippet", inline.pk): ["x"], ("snippet", made.pk): ["y"]}
    assert Mentions.objects.get(source="email").images == [image.digest]


FIELDS = (
    "{{ subscriber.%s }}",
    "{{ subscriber['%s'] | default: 'x' }}",
    "{%% if subscriber.%s == blank %%}x{%% endif %%}",
    "{%% case subscriber.%s %%}{%% when 'Rome' %%}x{%% endcase %%}",
    "{%% assign a = subscriber.%s %%}{{ a }}",
)
FIELD_KEYS = st.from_regex(r"f[a-z0-9]{0,8}(_[a-z0-9]{1,5}){0,2}", fullmatch=True)


@given(parts=st.lists(st.tuples(TEXTS, st.sampled_from(FIELDS), FIELD_KEYS), max_size=5), tail=TEXTS)
def test_fields_that_are_printed_or_asked_about_are_found(parts: list[tuple[str, str, str]], tail: str) -> None:
    found = reading.references_in("".join(f"{text}{way % key}" for text, way, key in parts) + tail)
    assert found.fields == {key for _, _, key in parts}
    assert not found.any_field


@pytest.mark.parametrize(
    ("source", "is_any"),
    [
        ("{{ subscriber[plan] }}", True),
        ("{{ subscriber[subscriber.plan] }}", True),
        ("{% assign all = subscriber %}{{ all.city }}", True),
        ("{% for pair in subscriber %}{{ pair }}{% endfor %}", True),
        ("{{ subscriber['city'] }}", False),
        ("{{ plan }} of a subscriber", False),
    ],
)
def test_a_field_whose_key_is_made_up_is_known_as_unknown(source: str, is_any: bool) -> None:
    assert reading.references_in(source).any_field is is_any


def test_what_an_older_reader_has_read_is_read_again(alice: Account) -> None:
    email = make_email(make_sequence(alice), position=0, content="{{ subscriber.city }}")
    reading.catch_up(alice.pk)
    assert Mentions.objects.get(source_id=email.pk).fields == ["city"]
    Mentions.objects.update(fields=[], reader=0)
    reading.catch_up(alice.pk)
    assert Mentions.objects.get(source_id=email.pk).fields == ["city"]
