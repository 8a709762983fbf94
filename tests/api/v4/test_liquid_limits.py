"""Liquid that a message could not bear is refused when it is saved, in whatever it stands."""

from time import process_time
from typing import Any

import pytest

from dripstone.content.models import EmailTemplate, Snippet
from dripstone.sequences.models import SequenceEmail
from tests.api.caller import Caller
from tests.factories import MONDAY_9

pytestmark = pytest.mark.django_db

EMAIL = {"subject": "Hello", "delay_value": 1, "delay_unit": "days"}
LIST = "{% assign s = 'a' %}" + "{% assign s = s | append: s %}" * 9 + "{% assign l = s | split: '' %}"
HEAVY = LIST + "{% for i in (1..9000) %}{{ l }}{% endfor %}"
SAID = "Invalid Liquid in {}: it takes too much work for one message, at {{% for i in (1..9000) %}}"


@pytest.fixture
def path(alice: Caller) -> str:
    _, answer = alice.post("/v4/sequences", {"name": "Course"})
    return f"/v4/sequences/{answer['sequence']['id']}/emails"


@pytest.mark.parametrize("part", ["subject", "preview_text", "content"])
def test_an_email_that_no_message_could_bear_is_refused(alice: Caller, path: str, part: str) -> None:
    assert alice.post(path, EMAIL | {part: HEAVY}) == (422, {"errors": [SAID.format(part)]})
    _, made = alice.post(path, EMAIL)
    assert alice.put(f"{path}/{made['email']['id']}", {part: HEAVY}) == (422, {"errors": [SAID.format(part)]})


def test_what_only_a_filled_field_makes_heavy_is_refused_too(alice: Caller, path: str) -> None:
    content = "{% if subscriber.city %}" + HEAVY + "{% endif %}"
    assert alice.post(path, EMAIL | {"content": content})[0] == 422


def test_a_snippet_is_tried_with_the_email_and_by_itself(alice: Caller, path: str) -> None:
    for kind, text in (("inline", {"content": HEAVY}), ("block", {"document_attributes": {"value_html": HEAVY}})):
        body = {"name": "Heavy", "snippet_type": kind, **text}
        assert alice.post("/v4/snippets", body) == (422, {"errors": [SAID.format("content")]})
    half = LIST + "{% for i in (1..40) %}{{ l }}{% endfor %}"
    body = {"name": "Half", "snippet_type": "inline", "content": half}
    assert alice.post("/v4/snippets", body)[0] == 201
    assert alice.post(path, EMAIL | {"content": "{{ snippet.half }}"})[0] == 201
    again = "{% for i in (1..80) %}{{ snippet.half }}{% endfor %}"
    assert alice.post(path, EMAIL | {"content": again})[0] == 422


def test_a_template_is_tried_with_the_email_and_by_itself(alice: Caller, path: str) -> None:
    body = {"name": "Heavy", "html": f"{{{{ message_content }}}}{HEAVY}"}
    assert alice.post("/ext/v1/email_templates", body) == (422, {"errors": [SAID.format("html")]})
    html = f"{LIST}{{% for i in (1..100) %}}{{{{ l }}}}{{% endfor %}}{{{{ message_content }}}}"
    _, made = alice.post("/ext/v1/email_templates", {"name": "Half", "html": html})
    half = LIST + "{% for i in (1..100) %}{{ l }}{% endfor %}"
    template = {"email_template_id": made["email_template"]["id"]}
    assert alice.post(path, EMAIL | {"content": half})[0] == 201
    assert alice.post(path, EMAIL | {"content": half} | template)[0] == 422


def test_what_was_saved_before_the_limits_stays_and_can_only_shrink(alice: Caller, path: str) -> None:
    _, answer = alice.post(path, EMAIL)
    email = SequenceEmail.objects.get(pk=answer["email"]["id"])
    SequenceEmail.objects.filter(pk=email.pk).update(content="x" * 300_000, preview_text="y" * 3_000)
    one = f"{path}/{email.pk}"
    assert alice.put(one, {"subject": "Still fine"})[0] == 200
    assert alice.put(one, {"content": "x" * 299_999, "preview_text": "y" * 2_999})[0] == 200
    assert alice.put(one, {"content": "x" * 300_000, "preview_text": "y" * 3_000}) == (
        422,
        {
            "errors": [
                "preview_text is too long (maximum is 2000 characters)",
                "content is too long (maximum is 200000 characters)",
            ]
        },
    )


def test_an_email_that_stays_too_heavy_can_be_moved_and_put_to_rest(alice: Caller, path: str) -> None:
    _, answer = alice.post(path, EMAIL | {"published": True})
    SequenceEmail.objects.filter(pk=answer["email"]["id"]).update(content=HEAVY)
    assert alice.put(f"{path}/{answer['email']['id']}", {"published": False, "delay_value": 3})[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {"content": "{{ subscriber.a }} " * 2_600},
        {"content": "{{ subscriber.a }}" * 2_700, "preview_text": "{{ subscriber.a }}" * 111},
        {"content": ("{{ a|append:" + "a," * 1_900 + " }}") * 13},
    ],
)
def test_saving_takes_little_work_whatever_is_saved(alice: Caller, path: str, body: dict[str, Any]) -> None:
    began = process_time()
    alice.post(path, EMAIL | body)
    assert process_time() - began < 15  # some two seconds; it was 17 and more


def test_snippets_that_use_each_other_take_little_work(alice: Caller, path: str) -> None:
    for number in range(6):
        Snippet.objects.create(
            account=alice.account,
            name=f"s{number}",
            key=f"s{number}",
            snippet_type="inline",
            content="{{ subscriber.a }}" * 2_700 + "x" * 100_000 + f"{{{{ snippet.s{number + 1} }}}}",
            created_at=MONDAY_9,
            updated_at=MONDAY_9,
        )
    began = process_time()
    body = {"name": "More", "snippet_type": "inline", "content": "{{ snippet.s0 }}"}
    said = "A snippet and all that it uses may have at most 500000 characters"
    assert alice.post("/v4/snippets", body) == (422, {"errors": [said]})
    assert process_time() - began < 15


@pytest.mark.parametrize("name", ["2024 offer", "24/7", "2024", "blank", "And", "Größe", "Limit"])
def test_what_the_answer_calls_the_key_works_as_kit_writes_it(alice: Caller, path: str, name: str) -> None:
    _, answer = alice.post("/v4/snippets", {"name": name, "snippet_type": "inline", "content": "x"})
    key = answer["snippet"]["key"]
    assert alice.post(path, EMAIL | {"content": f"<p>{{{{ snippet.{key} }}}}</p>"})[0] == 201
    _, answer = alice.post("/v4/custom_fields", {"label": name})
    key = answer["custom_field"]["key"]
    status, answer = alice.post(path, EMAIL | {"content": f"{{{{ subscriber.{key} | default: 'x' }}}}"})
    assert (status, list(answer)) == (201, ["email"])


def test_a_field_compared_with_a_number_is_warned_about(alice: Caller, path: str) -> None:
    alice.post("/v4/custom_fields", {"label": "Age"})
    _, answer = alice.post(path, EMAIL | {"content": "{% if subscriber.age > 18 %}Hi{% else %}Ho{% endif %}"})
    assert answer["warnings"] == [
        "content: subscriber.age is text: neither equal to a number nor greater or less; "
        "write {% assign number = subscriber.age | plus: 0 %} and compare number"
    ]


@pytest.mark.parametrize("opening", ["&#123;&#123;", "&#x7B;%", "{&lbrace;", "&lcub;&percnt;"])
def test_a_tag_in_entities_is_warned_about(alice: Caller, path: str, opening: str) -> None:
    _, answer = alice.post(path, EMAIL | {"content": f"<p>{opening} subscriber.first_name</p>"})
    assert answer["warnings"] == [f"content: {opening} is text and begins no Liquid; readers will see it as a tag"]
    assert "warnings" not in alice.post(path, EMAIL | {"content": "<p>&#123; { % } &#37;</p>"})[1]


def test_a_template_without_the_postal_address_is_warned_about(alice: Caller) -> None:
    _, answer = alice.post("/ext/v1/email_templates", {"name": "Own", "html": "<p>{{ message_content }}</p>"})
    said = "html: there is no {{ address }}; the postal address will stand at the end of every email"
    assert answer["warnings"] == [said]
    for html in ("{{ message_content }}{{ address }}", "{{ message_content }}{{ snippet.foot }}"):
        assert "warnings" not in alice.post("/ext/v1/email_templates", {"name": "Own", "html": html})[1]
    assert EmailTemplate.objects.count() == 3
