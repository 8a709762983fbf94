"""Tools do what their calls do, for the same caller, and refuse with the same sentences."""

import json
from typing import Any

import pytest

from dripstone.api.mcp import kit_tools, our_tools
from dripstone.api.mcp.tools import Tool
from dripstone.engine.models import Enrollment
from dripstone.subscribers.models import Tag
from tests import factories, owned
from tests.api.caller import Caller
from tests.api.mcp.agent import Agent
from tests.factories import MONDAY_9

TOOLS = (*kit_tools.TOOLS, *our_tools.TOOLS)


@pytest.fixture
def agent(alice: Caller) -> Agent:
    return Agent(alice.key)


def test_a_tool_answers_what_its_call_answers(alice: Caller, agent: Agent) -> None:
    made = agent.did("create_tag", name="Readers")
    assert Tag.objects.get().name == "Readers"
    assert made == {"tag": alice.get("/v4/tags")[1]["tags"][0]}
    assert agent.did("list_tags") == alice.get("/v4/tags", per_page=100)[1]


def test_parameters_go_where_the_call_takes_them(alice: Caller, agent: Agent) -> None:
    tag = agent.did("create_tag", name="Readers")["tag"]
    person = agent.did("create_subscriber", email_address="bea@example.org", first_name="Bea")["subscriber"]
    agent.did("tag_subscriber", tag_id=tag["id"], email_address="bea@example.org")
    found = agent.did("list_subscribers_for_tag", id=tag["id"], include_total_count=True, per_page=1)
    assert found["pagination"]["total_count"] == 1
    assert agent.did("remove_tag_from_subscriber", tag_id=tag["id"], subscriber_id=person["id"]) == {"message": "Done"}
    assert agent.did("list_subscribers_for_tag", id=tag["id"])["subscribers"] == []


def test_the_names_of_kit_may_have_its_prefix(agent: Agent) -> None:
    """Programs that were written for Kit's server say them without asking for the list."""
    assert "kitmcp_list_tags" not in agent.tools()
    assert agent.did("kitmcp_list_tags") == agent.did("list_tags")


def test_what_kit_wants_to_know_is_taken(agent: Agent) -> None:
    agent.did("list_tags", session_id="7d1f7f6e-6f5a-4a9c-8c51-0d6b1f6f7c11", user_goal="explore")
    agent.did("create_tag", name="A", session_id="x", user_goal="y")


@pytest.mark.parametrize(
    ("tool", "arguments", "sentences"),
    [
        ("create_tag", {}, "Name can't be blank"),
        ("create_tag", {"name": 7}, "Name must be a string"),
        ("get_subscriber", {}, "id can't be blank"),
        ("get_subscriber", {"id": "../tags"}, "id must be an id"),
        ("get_subscriber", {"id": True}, "id must be an id"),
        ("get_subscriber", {"id": None}, "id must be an id"),
        ("get_subscriber", {"id": 10**30}, "id must be an id"),
        ("get_subscriber", {"id": 10**18}, "Not Found"),
        ("get_subscriber", {"id": "7"}, "Not Found"),
        ("list_tags", {"per_page": 0}, "per_page must be an integer between 1 and 100"),
        ("list_tags", {"per_page": 101}, "per_page must be an integer between 1 and 100"),
        ("list_tags", {"per_page": [5]}, "per_page must be an integer between 1 and 100"),
        ("list_tags", {"after": "nonsense"}, "after is not a cursor of this list"),
        ("delete_sequence", {"id": 1, "impact_token": 7}, "impact_token must be a string"),
        ("get_sequence", {"id": 1, "impact_token": "x"}, "impact_token is no parameter of this tool"),
        ("list_tags", {"afer": "x"}, "afer is no parameter of this tool; did you mean after?"),
        ("find_subscriber", {}, "email_address can't be blank"),
        ("find_subscriber", {"email_address": ""}, "Email address is invalid"),
        ("find_subscriber", {"email_address": {"a": 1}}, "Email address is invalid"),
        ("list_subscribers", {"include": "fields"}, "include must be an array of strings"),
        ("list_subscribers_for_tag", {"id": 1, "include": ["tags"]},
         "include must be one or more of: fields, custom_fields"),
        ("add_subscriber_to_form", {"form_id": 1},
         "Either subscriber id or email address is required to add subscriber to form"),
        ("get_impact", {"tool": "delete_tag", "arguments": {}},
         "tool must be one of: update_sequence, delete_sequence, create_sequence_email, "
         "update_sequence_email, delete_sequence_email"),
        ("get_impact", {"tool": "delete_sequence", "arguments": {}}, "id can't be blank"),
        ("get_impact", {"tool": "delete_sequence", "arguments": 7}, "arguments must be an object: those of the tool"),
    ],
)  # fmt: skip
def test_refusals_are_the_sentences_of_the_call(
    agent: Agent, tool: str, arguments: dict[str, Any], sentences: str
) -> None:
    assert agent.refused(tool, **arguments) == sentences


def test_values_of_custom_fields_come_when_asked_for(alice: Caller, agent: Agent) -> None:
    agent.did("create_custom_field", label="City")
    agent.did("create_subscriber", email_address="bea@example.org", fields={"city": "Rome"})
    (plain,) = agent.did("list_subscribers")["subscribers"]
    assert "fields" not in plain
    (whole,) = agent.did("list_subscribers", include=["fields", "tags"])["subscribers"]
    assert (whole["fields"], whole["tags"]) == ({"city": "Rome"}, [])


def test_a_message_that_is_sent_again_is_carried_out_once(alice: Caller) -> None:
    agent = Agent(alice.key, {"Idempotency-Key": "one"})
    first = agent.did("create_sequence", name="Course")
    assert agent.did("create_sequence", name="Course") == first
    assert alice.account.sequences.count() == 1
    assert agent.refused("create_sequence", name="Another").startswith("This Idempotency-Key belongs to another")


def test_headers_of_a_message_are_those_of_its_call(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account)
    stale = Agent(alice.key, {"If-Match": "nothing-known"})
    assert "has changed since" in stale.refused("update_sequence", id=sequence.pk, name="B")


def test_an_agent_writes_a_sequence_starts_somebody_and_says_why(agent: Agent) -> None:
    sequence = agent.did("create_sequence", name="Course")["sequence"]["id"]
    health = agent.did("get_sequence_health", sequence_id=sequence)["health"]
    assert health["findings"], health
    email = {"subject": "Hello {{ subscriber.first_name }}", "delay_value": 0, "delay_unit": "days"}
    first = agent.did("create_sequence_email", sequence_id=sequence, content="<p>Hi</p>", published=True, **email)
    agent.did("create_subscriber", email_address="bea@example.org", first_name="Bea")
    agent.did("add_subscriber_to_sequence", sequence_id=sequence, email_address="bea@example.org")
    (person,) = agent.did("find_subscriber", email_address="BEA@example.org")["subscribers"]
    (place,) = agent.did("list_enrollments", subscriber_id=person["id"])["enrollments"]
    journey = agent.did("get_journey", enrollment_id=place["id"])["journey"]
    assert [step["outcome"] for step in journey["emails"]] == ["next"]
    seen = agent.did(
        "preview_sequence_email", sequence_id=sequence, id=first["email"]["id"], subscriber_id=person["id"]
    )
    assert seen["preview"]["subject"] == "Hello Bea"
    assert agent.did("get_forecast", days=7)["forecast"]
    assert agent.did("unsubscribe", subscriber_id=person["id"]) == {"message": "Done"}
    assert agent.did("find_subscriber", email_address="bea@example.org")["subscribers"][0]["state"] == "cancelled"


def test_the_impact_of_an_edit_is_told_by_the_tool_that_makes_it(alice: Caller, agent: Agent) -> None:
    sequence = factories.make_sequence(alice.account, {"delay_value": 0}, {"delay_value": 2})
    person = factories.make_subscriber(alice.account)
    place = factories.make_enrollment(sequence, person)
    first, second = sequence.emails.order_by("position")
    Enrollment.objects.filter(pk=place.pk).update(next_email=second, due_at=MONDAY_9)
    for tool, arguments in (
        ("update_sequence", {"id": sequence.pk, "active": False}),
        ("delete_sequence", {"id": sequence.pk}),
        ("update_sequence_email", {"sequence_id": sequence.pk, "id": second.pk, "published": False}),
        ("delete_sequence_email", {"sequence_id": sequence.pk, "id": second.pk}),
        (
            "create_sequence_email",
            {"sequence_id": sequence.pk, "subject": "New", "delay_value": 1, "delay_unit": "days", "position": 1},
        ),
    ):
        told = agent.did("get_impact", tool=tool, arguments={**arguments, "session_id": "s"})["impact"]
        assert told["summary"], tool
    assert {email.pk for email in sequence.emails.filter(deleted_at=None)} == {first.pk, second.pk}
    assert agent.refused("get_impact", tool="update_sequence", arguments={"id": sequence.pk, "send_hour": 99})


def test_an_edit_is_made_as_its_impact_was_told_or_not_at_all(alice: Caller, agent: Agent) -> None:
    sequence = factories.make_sequence(alice.account, {"delay_value": 0})
    pause = {"id": sequence.pk, "active": False}
    token = agent.did("get_impact", tool="update_sequence", arguments=pause)["impact"]["token"]
    other = agent.refused("update_sequence", id=sequence.pk, active=False, name="Another", impact_token=token)
    assert other == "This token was given for another change: ask for the impact of this one"
    factories.make_enrollment(sequence, factories.make_subscriber(alice.account))
    late = agent.refused("update_sequence", **pause, impact_token=token)
    assert late == "The sequence has changed since its impact was told: ask for it again"
    for nothing in ("", "*", "nonsense"):
        assert "has changed since" in agent.refused("update_sequence", **pause, impact_token=nothing)
    assert agent.did("get_sequence", id=sequence.pk)["sequence"]["active"]
    told = agent.did("get_impact", tool="update_sequence", arguments={**pause, "impact_token": token})["impact"]
    made = agent.did("update_sequence", **pause, impact_token=told["token"])
    assert not made["sequence"]["active"]


@pytest.mark.parametrize("tool", our_tools.EDITS)
def test_every_edit_takes_the_token_of_its_impact(alice: Caller, agent: Agent, tool: str) -> None:
    sequence = factories.make_sequence(alice.account, {"delay_value": 0})
    email = sequence.emails.get()
    path = our_tools.EDITS[tool].in_path
    ids = {"sequence_id": sequence.pk, "id": email.pk if "sequence_id" in path else sequence.pk}
    edit = {name: ids[name] for name in path} | {
        name: value for name, value in SOUND.items() if name in our_tools.EDITS[tool].parameters
    }
    edit.pop("email_address", None)
    token = agent.did("get_impact", tool=tool, arguments=edit)["impact"]["token"]
    agent.did(tool, **edit, impact_token=token)


def _ids(account: Any) -> dict[str, Any]:
    """One of each of the account's, by the name that a parameter has for it."""
    nouns = owned.one_of_each(account)
    return {f"{noun.removesuffix('s')}_id": pk for noun, pk in nouns.items()} | {"delivery_id": nouns["deliveries"]}


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.in_path], ids=lambda tool: tool.name)
def test_another_account_finds_nothing(alice: Caller, mallory: Caller, tool: Tool) -> None:
    agent, hers = Agent(mallory.key), _ids(alice.account)
    if tool.name not in agent.tools():
        pytest.skip("its call is not there")
    assert agent.refused(tool.name, **_about(tool, hers)) == "Not Found"


# Values that no call refuses for themselves.
SOUND = {"email_address": "bea@example.org", "subject": "S", "delay_value": 1, "delay_unit": "days", "name": "N"}
SOUND |= {"label": "L"}


def _about(tool: Tool, hers: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the other account's ids. `id` is of the noun before it."""
    if tool.name == "get_impact":
        return {"tool": "delete_sequence", "arguments": {"id": hers["sequence_id"]}}
    parts = tool.path.split("/")
    before = parts[parts.index("{id}") - 1].removesuffix("s") if "id" in tool.in_path else ""
    ids = {name: hers[f"{before}_id" if name == "id" else name] for name in tool.in_path}
    return ids | {name: value for name, value in SOUND.items() if name in tool.needs}


def test_answers_are_objects_for_machines_and_text_for_the_rest(agent: Agent) -> None:
    result = agent.ask("tools/call", name="get_current_account", arguments={})
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert result["structuredContent"]["account"]["name"] == "Alice"


def test_people_are_found_by_conditions_or_all_of_them(agent: Agent) -> None:
    tag = agent.did("create_tag", name="Readers")["tag"]["id"]
    for address in ("bea@example.org", "cem@example.org"):
        agent.did("create_subscriber", email_address=address)
    agent.did("tag_subscriber", tag_id=tag, email_address="bea@example.org")
    everybody = agent.did("filter_subscribers", include_total_count=True, per_page=1)
    assert (len(everybody["subscribers"]), everybody["pagination"]["total_count"]) == (1, 2)
    tagged = [{"type": "tags", "any": [{"type": "ids", "matching": [tag]}]}]
    found = agent.did("filter_subscribers", all=tagged)["subscribers"]
    assert [one["email_address"] for one in found] == ["bea@example.org"]
    assert agent.refused("filter_subscribers", all=[{"type": "nonsense"}])


def test_a_webhook_is_made_and_deleted(agent: Agent) -> None:
    event = {"name": "subscriber.subscriber_activate"}
    made = agent.did("create_webhook", target_url="https://hooks.example.com/in", event=event)["webhook"]
    assert [one["id"] for one in agent.did("list_webhooks")["webhooks"]] == [made["id"]]
    assert agent.did("delete_webhook", webhook_id=made["id"]) == {"message": "Done"}
    assert agent.refused("create_webhook", target_url="http://127.0.0.1/", event=event)


def test_the_palette_is_replaced(agent: Agent) -> None:
    agent.did("update_colors", colors=["#000000", "#ffffff"])
    assert agent.did("list_colors")["colors"] == ["#000000", "#ffffff"]
