"""Templates by the API: Kit has no calls that change or delete them."""

from dripstone.accounts.models import Account
from dripstone.content import templates
from dripstone.content.models import EmailTemplate
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_email, make_sequence


def test_a_template_is_read_changed_and_deleted(alice: Caller) -> None:
    made = alice.post("/ext/v1/email_templates", {"name": "A", "html": "<p>{{ message_content }}</p>"})[1]
    path = f"/ext/v1/email_templates/{made['email_template']['id']}"
    assert alice.get(path)[1]["email_template"]["html"] == "<p>{{ message_content }}</p>"
    status, changed = alice.put(path, {"name": "B", "is_default": True})
    assert (status, changed["email_template"]["name"], changed["email_template"]["is_default"]) == (200, "B", True)
    assert alice.put(path, {"html": "no place"}) == (422, {"errors": ["html must contain {{ message_content }}"]})
    assert alice.get(path)[1]["email_template"]["html"] == "<p>{{ message_content }}</p>"
    assert alice.delete(path)[0] == 204 and alice.get(path)[0] == 404


def test_one_default_takes_the_place_of_another(alice: Caller) -> None:
    given = {"html": "{{ message_content }}", "is_default": True}
    ids = [templates.create(alice.account.pk, {"name": name, **given}, MONDAY_9).pk for name in "AB"]
    alice.put(f"/ext/v1/email_templates/{ids[0]}", {"is_default": True})
    assert EmailTemplate.objects.get(is_default=True).pk == ids[0]
    alice.put(f"/ext/v1/email_templates/{ids[0]}", {"is_default": False})
    assert not EmailTemplate.objects.filter(is_default=True).exists()


def test_what_is_used_needs_another_in_its_place(alice: Caller) -> None:
    account = Account.objects.get(pk=alice.account.pk)
    ids = [templates.create(account.pk, {"name": name, "html": "{{ message_content }}"}, MONDAY_9).pk for name in "AB"]
    sequence = make_sequence(account, email_template_id=ids[0])
    make_email(sequence, position=0, email_template_id=ids[0])
    path = f"/ext/v1/email_templates/{ids[0]}"
    said = "1 sequence and 1 email have this template: say which one takes its place"
    assert alice.delete(path) == (422, {"errors": [said]})
    assert alice.delete(f"{path}?replacement_id={ids[0]}")[0] == 422
    assert alice.delete(f"{path}?replacement_id={ids[1]}")[0] == 204
    sequence.refresh_from_db()
    assert sequence.email_template_id == ids[1]
    assert alice.delete(f"/ext/v1/email_templates/{ids[1]}?replacement_id=0")[0] == 204
    sequence.refresh_from_db()
    assert sequence.email_template_id is None
