"""One row of every kind that an account owns, so that a test can ask whether another account reaches any of them."""

from typing import Any

from dripstone import clock
from dripstone.accounts import brand, invitations, members, sending_addresses, sessions
from dripstone.accounts.models import Account, User
from dripstone.automations import verbs as automations
from dripstone.bulk import actions, jobs, operations
from dripstone.conditions import segments
from dripstone.content import snippets, templates
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.images import store
from dripstone.imports import files
from dripstone.oauth import tokens
from dripstone.rules import verbs as rules
from dripstone.sequences import versions
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers import fields, forms, locations
from dripstone.webhooks import endpoints, legacy
from tests import factories
from tests.factories import MONDAY_9
from tests.images.making import a_picture
from tests.web.making import make_delivery, make_edition, make_message

ENDPOINT = {"url": "https://hooks.example.com/", "events": ["subscriber.created"]}
WEBHOOK = {"target_url": "https://hooks.example.com/", "event": {"name": "subscriber.subscriber_activate"}}
INVITED = {"email_address": "new@example.com", "role": "viewer"}


def rule_about(tag_id: int) -> dict[str, Any]:
    trigger, action = {"trigger": "tag_added", "tag_id": tag_id}, {"kind": "untag", "tag_id": tag_id}
    return {"name": "Rule", "triggers": [trigger], "actions": [action]}


def automation_about(tag_id: int) -> dict[str, Any]:
    nodes = [{"id": "a", "kind": "tag", "tag_id": tag_id, "next": None}]
    return {"name": "Automation", "entries": [{"trigger": "tag_added", "tag_id": tag_id}], "start": "a", "nodes": nodes}


def _user(account: Account) -> User:
    """Whose session it is."""
    return members.users_of(account).first() or factories.make_user(account)


def _bulk_action(account: Account, tag_id: int) -> int:
    """One that runs."""
    acts = [{"kind": "tag", "tag_id": tag_id}]
    everybody: dict[str, Any] = {"filter": {"all": []}}
    return actions.begin(account, everybody, acts, "API key test", MONDAY_9, fire_rules=True).pk


def one_of_each(account: Account) -> dict[str, Any]:
    """Ids, by the noun that stands before an id in a URL: {"tags": 3, "emails": 12, …}; and two kinds of address.

    They belong together: the person is in the sequence, the tag and the form, and nobody answered for the email that
    the delivery is about, so that both decisions about it are possible.
    """
    person = factories.make_subscriber(account)
    tag = factories.make_tag(account, person)
    form = forms.create(account.pk, {"name": "Sign up"}, MONDAY_9)
    forms.add(form, person, {}, MONDAY_9, cause=causes.API)
    sequence = factories.make_sequence(account, {"delay_value": 0}, {"delay_value": 2})
    place = factories.make_enrollment(sequence, person)
    first, second = sequence.emails.order_by("position")
    delivery = make_delivery(place, "unknown", edition=make_edition(first))
    Enrollment.objects.filter(pk=place.pk).update(next_email=second, due_at=MONDAY_9)
    everybody = {"name": "Everybody", "filter": {"match": "all", "conditions": []}}
    text = {"name": "A", "snippet_type": "inline", "content": "x"}
    snippet = snippets.create(account.pk, text, MONDAY_9)
    endpoint = endpoints.create(account, ENDPOINT, MONDAY_9)[0]
    template = templates.create(account.pk, {"name": "B", "html": "{{ message_content }}"}, MONDAY_9)
    app = factories.make_app(account)
    purchase = factories.make_purchase(account, email_address=person.email_address)
    locations.pin(person.pk, factories.a_location(), MONDAY_9)
    brand.set_colors(account, {"colors": ["#1a6b4f"]})
    brand.write_profile(account, {"name": account.name})
    return {
        "apps": app.pk,
        "consents": tokens.give_out(account, _user(account).email, app, "public", MONDAY_9)["consent_id"],
        "accounts": account.pk,
        "addresses": sending_addresses.add(account, {"email_address": "shop@example.com"}, MONDAY_9).pk,
        "members": factories.make_user(account).memberships.get().pk,
        "invitations": invitations.invite(account, INVITED, None, clock.system_now()).pk,
        "keys": factories.make_key(account)[0].pk,
        "sessions": sessions.begin(_user(account), "", "192.0.2.1", clock.system_now()).pk,
        "subscribers": person.pk,
        "people": person.pk,
        "email_addresses": person.email_address,
        "purchases": purchase.pk,
        "products": purchase.lines.get().product_id,
        "tags": tag.pk,
        "bulk_actions": _bulk_action(account, tag.pk),
        "forms": form.pk,
        "segments": segments.create(account.pk, everybody, MONDAY_9).pk,
        "custom_fields": fields.create(account.pk, {"label": "Company"}, MONDAY_9, cause=causes.API)[0].pk,
        "fields": fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.API)[0].pk,
        "snippets": snippet.pk,
        "email_templates": template.pk,
        "templates": template.pk,
        "sequences": sequence.pk,
        "other_sequences": factories.make_sequence(account).pk,
        "sending_addresses": sequence.sending_address.email_address,
        "emails": first.pk,
        "versions": _number_of_versions(first, template, snippet),
        "enrollments": place.pk,
        "deliveries": delivery.pk,
        "bulk_jobs": _bulk_job(account),
        "imports": _import(account),
        "pieces": 0,
        "images": store.add(account.pk, a_picture(), "a.png", MONDAY_9).pk,
        "forecast": clock.now().date().isoformat(),
        "inbox": make_message(account, to=person.email_address).pk,
        "steps": "a",
        "automations": automations.create(account, automation_about(tag.pk), MONDAY_9).pk,
        "other_automations": automations.create(account, {"name": "Other"}, MONDAY_9).pk,
        "rules": rules.create(account, rule_about(tag.pk), MONDAY_9).pk,
        "webhook_endpoints": endpoint.pk,
        "receivers": endpoint.pk,
        "webhook_deliveries": endpoints.send_test(endpoint, MONDAY_9).pk,
        "webhooks": legacy.create(account, WEBHOOK, MONDAY_9).pk,
    }


def _import(account: Account) -> int:
    """Whose file has come."""
    row = files.begin(account, "people.csv", "API key test", MONDAY_9)
    files.add(row, 0, b"email,city\nbob@example.org,Rome\n")
    return files.finish(row, MONDAY_9).pk


def _bulk_job(account: Account) -> int:
    """That has begun, with an entry that failed."""
    entries = [{"name": ""}, {"name": "A"}]
    job = jobs.keep(operations.TAGS, account.pk, entries, "", MONDAY_9, n_bytes=100, asked_by="API key test")
    job.failures.create(entry=0, answer='{"errors": ["Name can\'t be blank"], "tag": {"name": ""}}')
    return job.pk


def _number_of_versions(email: SequenceEmail, template: EmailTemplate, snippet: Snippet) -> int:
    """Of a version of each. Numbers begin at 1 everywhere, so these get one that no other account's has."""
    number = 1 + email.pk
    email.versions.filter(pk=versions.of(email)[0].pk).update(number=number)
    template.versions.update(number=number)
    snippet.versions.update(number=number)
    return number
