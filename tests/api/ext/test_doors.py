"""By which doors people came into a sequence, in words."""

import pytest

from dripstone.engine import enroll
from dripstone.events import causes
from dripstone.imports.models import Import
from dripstone.subscribers import forms
from tests.api.caller import Caller
from tests.automations.drawing import automation, wait
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.rules.making import rule, tag, tag_added

pytestmark = pytest.mark.django_db


def test_the_api_says_each_door_in_words(alice: Caller) -> None:
    account, vip = alice.account, make_tag(alice.account, name="VIP")
    sequence = make_sequence(account, {"delay_value": 0})
    form = forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)
    course = rule(account, tag(vip), when=tag_added(vip))
    walks = automation(account, wait("w"), name="Walks")
    people = Import.objects.create(account=account, file_name="people.csv", asked_by="owner", begun_at=MONDAY_9)
    cases = (
        ("automation", ("api", f"automation {walks.pk}"), "automation", walks.pk, "by the automation “Walks”", 5),
        ("form", (f"form {form.pk}",), "form", form.pk, "by the form “Newsletter”", 4),
        ("rule", ("api", f"rule {course.pk}"), "rule", course.pk, "by the rule “Rule”", 3),
        ("import", causes.imported(people.pk), "import", people.pk, "by the import “people.csv”", 2),
        ("owner", causes.OWNER, "owner", None, "by hand", 1),
    )
    for source, cause, _, _, _, n in cases:
        ids = [make_subscriber(account).pk for _ in range(n)]
        enroll.add(sequence, ids, source, MONDAY_9, cause=cause)  # type: ignore[arg-type]
    status, document = alice.get(f"/ext/v1/sequences/{sequence.pk}/doors")
    assert status == 200
    assert document["doors"] == {
        "sequence_id": sequence.pk,
        "entered": 15,
        "since": "2026-10-26",
        "doors": [
            {"source": source, "id": pk, "sentence": said, "people": n, "lately": n}
            for _, _, source, pk, said, n in cases
        ],
    }
