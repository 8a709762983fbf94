"""One account's story through all of Kit's operations that are served: make, read, list, page, filter, update, delete.

Every answer is held against the contract. An operation joins the story as soon as the router has it: by its chapter
here, and one without a chapter fails the test.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from dripstone.accounts.models import Account
from tests import factories
from tests.api.caller import Caller
from tests.kit import contract
from tests.kit.contract import Operation

Row = dict[str, Any]
Rows = list[Row]


class Story:
    """Calls operations by their name in the contract, and remembers which."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.served = {str(one): one for one in contract.answering()}
        self.told: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self.served

    def tell(self, name: str, *ids: Any, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """The document of a success."""
        operation = self.served[name]
        status, document = self.ask(operation, *ids, body=body, query=query)
        assert status in operation.success_statuses, f"{name}: {status} {document}"
        assert operation.problems(status, without_warnings(document)) == []
        return document

    def refused(self, name: str, status: int, *ids: Any, body: Any = None) -> None:
        told, document = self.ask(self.served[name], *ids, body=body)
        assert told == status, document
        if self.served[name].documents(status):
            assert self.served[name].problems(status, document) == []

    def ask(
        self, operation: Operation, *ids: Any, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        path = operation.with_ids(*ids)
        path += f"?{urlencode({key: contract.text(value) for key, value in query.items()})}" if query else ""
        self.told.add(str(operation))
        return self.caller.send(operation.method.upper(), path, body)


def without_warnings(document: Any) -> Any:
    """Kit publishes `warnings` for one status of each write; ours warn whenever there is something to say."""
    return {name: value for name, value in document.items() if name != "warnings"} if document else document


# --- What every resource goes through ---------------------------------------------------------------------------


def tell_of(
    story: Story,
    path: str,
    *ids: Any,
    bodies: list[Row] | None = None,
    rows: Rows | None = None,
    change: Row | None = None,
    newest_first: bool = True,
) -> Rows:
    """Makes a row of each body (`rows`: they are there already), reads, lists, pages, filters and updates them."""
    listing, one = f"GET {path}", f"{path}/{{id}}"
    made = rows or [only(story.tell(f"POST {path}", *ids, body=body)) for body in bodies or ()]
    for row in made:
        if story.has(f"GET {one}"):
            found = only(story.tell(f"GET {one}", *ids, row["id"]))
            assert {name: found[name] for name in row if name in found and name != "secret"} == {
                name: row[name] for name in row if name in found and name != "secret"
            }
    walk_through(story, listing, *ids, expected=[row["id"] for row in made], newest_first=newest_first)
    filter_by_everything(story, listing, *ids)
    if change is not None:
        method = "PATCH" if story.has(f"PATCH {one}") else "PUT"
        changed = only(story.tell(f"{method} {one}", *ids, made[0]["id"], body=change))
        assert {name: changed[name] for name in change if name in changed} == {
            name: change[name] for name in change if name in changed
        }
        if story.has(f"GET {one}"):
            found = only(story.tell(f"GET {one}", *ids, made[0]["id"]))
            assert {name: found[name] for name in change if name in found} == {
                name: change[name] for name in change if name in found
            }
    return made


def only(document: Any) -> Row:
    """The one object of an answer: {"tag": {…}}."""
    (row,) = [value for name, value in document.items() if name not in ("warnings", "pagination")]
    assert isinstance(row, dict)
    return row


def rows_of(document: Any) -> Rows:
    (rows,) = [value for name, value in document.items() if name not in ("warnings", "pagination")]
    assert isinstance(rows, list)
    return rows


def walk_through(story: Story, name: str, *ids: Any, expected: list[Any], newest_first: bool = True) -> None:
    """A row a page, to the end and back."""
    wanted = sorted(expected, reverse=True) if newest_first else list(expected)
    seen: list[Any] = []
    query: dict[str, Any] = {"per_page": 1, "include_total_count": True}
    while True:
        document = story.tell(name, *ids, query=query)
        seen += [row["id"] for row in rows_of(document)]
        assert document["pagination"]["total_count"] == len(expected)
        assert document["pagination"]["has_previous_page"] == (len(seen) > 1)
        if not document["pagination"]["has_next_page"]:
            break
        query = query | {"after": document["pagination"]["end_cursor"]}
    assert seen == wanted
    before = {"per_page": 1, "before": document["pagination"]["start_cursor"]}
    if len(wanted) > 1:
        assert [row["id"] for row in rows_of(story.tell(name, *ids, query=before))] == wanted[-2:-1]


# What holds only together with another parameter (tests/kit/test_examples.py), and what walk_through has tried.
_TRIED = {"after", "before", "per_page", "include_total_count", "sort_field"}


def filter_by_everything(story: Story, name: str, *ids: Any) -> None:
    """Each parameter with its example, one at a time."""
    for parameter, value in story.served[name].optional_query.items():
        if parameter not in _TRIED:
            story.tell(name, *ids, query={parameter: value})


def delete(story: Story, path: str, *ids: Any, row: Row) -> None:
    """It is gone, from the list too, and deleting it again is 404."""
    one = f"{path}/{{id}}"
    assert story.tell(f"DELETE {one}", *ids, row["id"]) is None
    if story.has(f"GET {one}"):
        story.refused(f"GET {one}", 404, *ids, row["id"])
    assert row["id"] not in [other["id"] for other in rows_of(story.tell(f"GET {path}", *ids))]
    story.refused(f"DELETE {one}", 404, *ids, row["id"])


# --- Chapters ---------------------------------------------------------------------------------------------------


def of_the_account(story: Story) -> None:
    assert story.tell("GET /v4/account")["account"]["name"] == "Alice"
    if story.has("PUT /v4/account/colors"):
        colors = {"colors": ["#0066ff", "#ff9900"]}
        assert story.tell("PUT /v4/account/colors", body=colors) == colors
        assert story.tell("GET /v4/account/colors") == colors
        story.refused("PUT /v4/account/colors", 422, body={"colors": ["#123_not_a_code"]})
    if story.has("GET /v4/account/creator_profile"):
        operation = story.served["GET /v4/account/creator_profile"]
        status, document = story.ask(operation)  # an account may have none
        assert status in (200, 404)
        assert operation.problems(status, document) == []


def of_people(story: Story) -> Rows:
    fields = tell_of(
        story,
        "/v4/custom_fields",
        bodies=[{"label": label} for label in ("Company", "City", "Dog")],
        change={"label": "Firm"},
    )
    delete(story, "/v4/custom_fields", row=fields[2])
    story.refused("POST /v4/custom_fields", 422, body={"label": ""})
    people = tell_of(
        story,
        "/v4/subscribers",
        bodies=[
            {"email_address": f"{name.lower()}@example.org", "first_name": name, "fields": {"city": name}}
            for name in ("Ann", "Ben", "Cleo")
        ],
        change={"first_name": "Anna", "email_address": "anna@example.org"},
    )
    story.refused("POST /v4/subscribers", 422, body={"email_address": "nobody"})
    gone = only(story.tell("POST /v4/subscribers", body={"email_address": "gone@example.org"}))
    assert story.tell("POST /v4/subscribers/{id}/unsubscribe", gone["id"]) is None
    assert only(story.tell("GET /v4/subscribers/{id}", gone["id"]))["state"] == "cancelled"
    cancelled = rows_of(story.tell("GET /v4/subscribers", query={"status": "cancelled", "sort_field": "cancelled_at"}))
    assert [row["id"] for row in cancelled] == [gone["id"]]
    of_locations(story, people[0])
    if story.has("POST /v4/subscribers/filter"):
        example = story.served["POST /v4/subscribers/filter"].body
        story.tell("POST /v4/subscribers/filter", body=example)
    return people


def of_locations(story: Story, person: Row) -> None:
    path = "/v4/subscribers/{subscriber_id}/location"
    if story.has(f"POST {path}"):
        place = story.served[f"POST {path}"].body
        story.tell(f"POST {path}", person["id"], body=place)
        story.tell(f"PATCH {path}", person["id"], body=place)
        story.refused(f"PATCH {path}", 422, person["id"], body={})
        story.tell(f"DELETE {path}", person["id"])


def of_tags(story: Story, people: Rows) -> Rows:
    tags = tell_of(
        story, "/v4/tags", bodies=[{"name": name} for name in ("Buyer", "Reader", "VIP")], change={"name": "Client"}
    )
    path, tag = "/v4/tags/{tag_id}/subscribers", tags[0]["id"]
    join(story, path, tag, people)
    assert [row["id"] for row in rows_of(story.tell("GET /v4/subscribers/{subscriber_id}/tags", people[0]["id"]))] == [
        tag
    ]
    filter_by_everything(story, "GET /v4/subscribers/{subscriber_id}/tags", people[0]["id"])
    assert story.tell(f"DELETE {path}/{{id}}", tag, people[0]["id"]) is None
    assert story.tell(f"DELETE {path}", tag, query={"email_address": people[1]["email_address"]}) is None
    assert [row["id"] for row in rows_of(story.tell(f"GET {path}", tag))] == [people[2]["id"]]
    return tags


def join(story: Story, path: str, owner: int, people: Rows) -> None:
    """By id and by address, into a tag, a form or a sequence; a second time changes nothing."""
    first, *others = people
    for _ in range(2):
        assert only(story.tell(f"POST {path}/{{id}}", owner, first["id"], body={}))["id"] == first["id"]
    for person in others:
        found = only(story.tell(f"POST {path}", owner, body={"email_address": person["email_address"]}))
        assert found["id"] == person["id"]
    story.refused(f"POST {path}", 404, owner, body={"email_address": "stranger@example.org"})
    story.refused(f"POST {path}", 422, owner, body={})
    tell_of(story, path, owner, rows=people)


def of_forms(story: Story, people: Rows) -> Rows:
    """Kit makes them in its app, and so do we, or by calls of our own."""
    forms = [only(story.caller.post("/ext/v1/forms", {"name": name})[1]) for name in ("Footer", "Footnote")]
    tell_of(story, "/v4/forms", rows=forms)
    join(story, "/v4/forms/{form_id}/subscribers", forms[0]["id"], people)
    return forms


def of_segments_and_templates(story: Story) -> None:
    everybody = {"match": "all", "conditions": []}
    segments = [
        only(story.caller.post("/ext/v1/segments", {"name": name, "filter": everybody})[1]) for name in ("All", "Each")
    ]
    tell_of(story, "/v4/segments", rows=segments)
    html = "<html><body>{{ message_content }}</body></html>"
    for name in ("Plain", "Wide"):
        assert story.caller.post("/ext/v1/email_templates", {"name": name, "html": html})[0] == 201
    tell_of(story, "/v4/email_templates", rows=rows_of(story.tell("GET /v4/email_templates")))


def of_snippets(story: Story) -> None:
    block = {"name": "Foot", "snippet_type": "block", "document_attributes": {"value_html": "<p>Bye</p>"}}
    tell_of(
        story,
        "/v4/snippets",
        bodies=[{"name": name, "snippet_type": "inline", "content": "Hello"} for name in ("Head", "Offer")] + [block],
        change={"name": "Top", "content": "Hi"},
    )
    story.refused("POST /v4/snippets", 422, body={"snippet_type": "inline", "content": "Hello"})


def of_sequences(story: Story, people: Rows, tags: Rows) -> None:
    excluded = [{"type": "tag", "ids": [tags[1]["id"]]}]
    sequences = tell_of(
        story,
        "/v4/sequences",
        bodies=[{"name": "Course"}, {"name": "Welcome", "repeat": True}, {"name": "Weekly", "hold": True}],
        change={"name": "Lessons", "send_hour": 7, "send_days": ["monday"], "exclude_subscriber_sources": excluded},
    )
    story.refused("POST /v4/sequences", 422, body={"name": "A", "send_hour": 24})
    path, sequence = "/v4/sequences/{sequence_id}/emails", sequences[0]["id"]
    emails = tell_of(
        story,
        path,
        sequence,
        bodies=[
            {"subject": f"Lesson {number}", "delay_value": number, "delay_unit": unit, "content": "<p>Hi</p>"}
            for number, unit in ((1, "days"), (2, "hours"), (3, "days"))
        ],
        change={"subject": "Lesson one", "published": True, "preview_text": "Begin here"},
        newest_first=False,
    )
    story.refused(f"POST {path}", 422, sequence, body={"delay_value": 1, "delay_unit": "days"})
    delete(story, path, sequence, row=emails[2])
    join(story, "/v4/sequences/{sequence_id}/subscribers", sequence, people)
    delete(story, "/v4/sequences", row=sequences[2])


def of_purchases(story: Story) -> None:
    if story.has("POST /v4/purchases"):
        example = story.served["POST /v4/purchases"].body
        bodies = [
            {
                "purchase": {
                    **example["purchase"],
                    "transaction_id": f"{number}",
                    "email_address": f"{number}@example.org",
                }
            }
            for number in range(3)
        ]
        tell_of(story, "/v4/purchases", bodies=bodies)
        story.refused("POST /v4/purchases", 422, body={})


def of_webhooks(story: Story, tags: Rows) -> None:
    if story.has("POST /v4/webhook_endpoints"):
        example = story.served["POST /v4/webhook_endpoints"].body
        endpoints = tell_of(
            story,
            "/v4/webhook_endpoints",
            bodies=[{**example, "name": f"Endpoint {number}"} for number in range(3)],
            change={"name": "Changed", "status": "disabled"},
        )
        one = endpoints[0]["id"]
        story.tell("POST /v4/webhook_endpoints/{id}/rotate_secret", one, body={})
        story.refused("POST /v4/webhook_endpoints/{id}/rotate_secret", 409, one, body={})
        story.tell("POST /v4/webhook_endpoints/{id}/revoke_previous_secret", one)
        delete(story, "/v4/webhook_endpoints", row=endpoints[2])
    if story.has("POST /v4/webhooks"):
        event = {"name": "subscriber.tag_add", "tag_id": tags[0]["id"]}
        hooks = tell_of(
            story,
            "/v4/webhooks",
            bodies=[{"target_url": f"https://example.com/{number}", "event": event} for number in range(3)],
        )
        delete(story, "/v4/webhooks", row=hooks[2])
        story.refused("POST /v4/webhooks", 422, body={})


def of_bulk(story: Story, people: Rows, tags: Rows, forms: Rows) -> None:
    """Kit's examples name rows of its own account: here those of the story."""
    person, tag, form = people[0]["id"], tags[2]["id"], forms[1]["id"]
    (field, *_) = rows_of(story.tell("GET /v4/custom_fields"))
    values = [{"subscriber_id": person, "subscriber_custom_field_id": field["id"], "value": "x"}]
    calls: dict[str, Row] = {
        "POST /v4/bulk/custom_fields": {"custom_fields": [{"label": "Street"}, {"label": "City"}]},
        "POST /v4/bulk/custom_fields/subscribers": {"custom_field_values": values},
        "POST /v4/bulk/subscribers": {"subscribers": [{"email_address": "d@example.org"}, {"email_address": "?"}]},
        "POST /v4/bulk/tags": {"tags": [{"name": "Bulk"}, {"name": "VIP"}]},
        "POST /v4/bulk/tags/subscribers": {"taggings": [{"tag_id": tag, "subscriber_id": person}]},
        "DELETE /v4/bulk/tags/subscribers": {"taggings": [{"tag_id": tag, "subscriber_id": person}]},
        "POST /v4/bulk/forms/subscribers": {"additions": [{"form_id": form, "subscriber_id": person}]},
        "DELETE /v4/bulk/tags": {"tags": [{"id": tag}]},
    }
    for name, body in calls.items():
        if story.has(name):
            story.tell(name, body=body)
            story.refused(name, 422, body={member: [] for member in body})


@pytest.fixture
def story(alice: Account, clock: Any) -> Story:
    contract.skip_if_absent()
    return Story(Caller(alice, factories.make_key(alice)[1]))


def test_every_operation_in_one_story(story: Story) -> None:
    of_the_account(story)
    people = of_people(story)
    tags = of_tags(story, people)
    forms = of_forms(story, people)
    of_segments_and_templates(story)
    of_snippets(story)
    of_sequences(story, people, tags)
    of_purchases(story)
    of_webhooks(story, tags)
    of_bulk(story, people, tags, forms)
    assert story.told == set(story.served), "these have no chapter"
