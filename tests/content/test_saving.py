"""What could not be sent as it is meant is refused when it is saved."""

from datetime import UTC, datetime

import pytest

from dripstone.content import snippets, templates
from dripstone.errors import Invalid
from dripstone.sequences import verbs
from tests.factories import make_account, make_sequence

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TOO_DEEP = ("<div>" * 300, "nests elements too deeply (maximum is 200)")
TOO_MUCH = ("<style>" + "p{color:red}" * 2_000 + "</style>" + "<p>x</p>" * 500, "has too much CSS for its elements")


@pytest.mark.parametrize(("html", "complaint"), [TOO_DEEP, TOO_MUCH])
def test_what_is_too_deep_or_too_much_to_inline_is_refused_with_a_sentence(html: str, complaint: str) -> None:
    account = make_account("Alice")
    sequence = make_sequence(account)
    given = {"subject": "Hi", "delay_value": 1, "delay_unit": "days", "content": html}
    with pytest.raises(Invalid) as refused:
        verbs.create_email(account, sequence.pk, given, NOW)
    assert refused.value.problems == [("content", f"content {complaint}")]
    with pytest.raises(Invalid) as refused:
        templates.create(account.pk, {"name": "t", "html": html + "{{ message_content }}"}, NOW)
    assert refused.value.problems == [("html", f"html {complaint}")]
    block = {"name": "s", "snippet_type": "block", "document_attributes": {"value_html": html}}
    with pytest.raises(Invalid) as refused:
        snippets.create(account.pk, block, NOW)
    assert complaint in str(refused.value)
