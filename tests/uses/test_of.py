"""Where things are used, directly and through one another, and whom a change reaches."""

from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.content import snippets, templates
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine.acts import places
from dripstone.images import store
from dripstone.uses import of
from dripstone.uses.models import Mentions
from tests.factories import make_account, make_email, make_enrollment, make_sequence, make_subscriber
from tests.images.making import a_picture

Source = Mentions.Source


def make_snippet(account: Account, name: str, content: str, now: datetime) -> Snippet:
    return snippets.create(account.pk, {"name": name, "snippet_type": "inline", "content": content}, now)


def make_template(account: Account, html: str, now: datetime, **given: Any) -> EmailTemplate:
    given = {"name": "T", "html": html + "{{ message_content }}"} | given
    return templates.create(account.pk, given, now)


def test_it_says_through_what(alice: Account, now: datetime) -> None:
    inner = make_snippet(alice, "inner", "x", now)
    outer = make_snippet(alice, "outer", "{{ snippet.inner }}", now)
    template = make_template(alice, "{{ snippet.outer }}", now)
    sequence = make_sequence(alice)
    direct = make_email(sequence, position=0, content="{{ snippet.inner }}")
    through_snippet = make_email(sequence, position=1, content="{{ snippet.outer }}")
    through_template = make_email(sequence, position=2, email_template=template)
    make_email(sequence, position=3)
    uses = of.of_snippet(inner).uses
    assert uses.snippets == {outer.pk: None}
    assert uses.templates == {template.pk: (Source.SNIPPET, outer.pk)}
    assert uses.emails == {
        direct.pk: None,
        through_snippet.pk: (Source.SNIPPET, outer.pk),
        through_template.pk: (Source.TEMPLATE, template.pk),
    }


def test_an_email_has_its_own_template_its_sequence_s_or_the_default(alice: Account, now: datetime) -> None:
    default = make_template(alice, "", now, is_default=True)
    other, third = make_template(alice, "", now), make_template(alice, "", now)
    plain = make_email(make_sequence(alice), position=0)
    sequence = make_sequence(alice, email_template=other)
    theirs, own = make_email(sequence, position=0), make_email(sequence, position=1, email_template=third)
    graph = of.Graph(alice.pk)
    assert [set(graph.of_template(one.pk).emails) for one in (default, other, third)] == [
        {plain.pk},
        {theirs.pk},
        {own.pk},
    ]


def test_images_are_found_in_emails_templates_and_snippets(alice: Account, now: datetime) -> None:
    image = store.add(alice.pk, a_picture(), "a.png", now)
    tag = f'<img src="{store.url(image)}">'
    block = {"name": "logo", "snippet_type": "block", "document_attributes": {"value_html": tag}}
    logo = snippets.create(alice.pk, block, now)
    template = make_template(alice, tag, now)
    sequence = make_sequence(alice)
    email = make_email(sequence, position=0, content=tag)
    other = make_email(sequence, position=1, content="{{ snippet.logo }}")
    uses = of.of_image(image).uses
    assert uses.emails == {email.pk: None, other.pk: (Source.SNIPPET, logo.pk)}
    assert (uses.templates, uses.snippets) == ({template.pk: None}, {logo.pk: None})


def test_what_is_deleted_or_another_account_s_uses_nothing(alice: Account, now: datetime) -> None:
    snippet = make_snippet(alice, "a", "x", now)
    sequence, gone = make_sequence(alice), make_sequence(alice, deleted_at=now)
    make_email(sequence, position=0, content="{{ snippet.a }}", deleted_at=now)
    make_email(gone, position=0, content="{{ snippet.a }}")
    make_email(make_sequence(make_account("Mallory")), position=0, content="{{ snippet.a }}")
    using = make_snippet(alice, "b", "{{ snippet.a }}", now)
    assert of.of_snippet(snippet).uses.snippets == {using.pk: None}
    snippets.delete(using)
    assert of.of_snippet(snippet).uses.is_none


def test_it_counts_who_is_still_to_get_one(alice: Account, now: datetime) -> None:
    """Whoever waits for the last of these emails in their sequence, or for one before it."""
    snippet = make_snippet(alice, "a", "x", now)
    using = {"content": "{{ snippet.a }}"}
    first = make_sequence(alice, {}, using, {}, using | {"published": False})
    second = make_sequence(alice, using)
    emails = list(first.emails.order_by("position"))
    for waiting_for in (emails[0], emails[0], emails[1], emails[2]):
        place = make_enrollment(first, make_subscriber(alice))
        places.move_to(place.pk, waiting_for.pk, "owner", "", now)
    make_enrollment(second, make_subscriber(alice))
    reach = of.of_snippet(snippet)
    assert (len(reach.uses.emails), reach.n_published, reach.n_sequences, reach.n_people) == (3, 2, 2, 4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14), target=st.integers(0, 6))
def test_ways_through_snippets_are_all_found(
    alice: Account, now: datetime, links: list[tuple[int, int]], target: int
) -> None:
    """Against a second, simple search. Snippet n names only snippets below it, so that none contains itself."""
    inside = {number: sorted({low for high, low in links if high == number and low < high}) for number in range(7)}
    Snippet.objects.filter(account=alice).delete()
    Mentions.objects.all().delete()
    made = {}
    for number, below_it in inside.items():
        tags = "".join(f"{{{{ snippet.s{low} }}}}" for low in below_it)
        made[number] = make_snippet(alice, f"s{number}", tags or "x", now)
    expected = {number for number in range(7) if number != target and target in below(number, inside)}
    assert set(of.of_snippet(made[target]).uses.snippets) == {made[number].pk for number in expected}


def below(number: int, inside: dict[int, list[int]]) -> set[int]:
    return set(inside[number]) | {deep for low in inside[number] for deep in below(low, inside)}
