"""Tools of many entries at once, which Kit keeps for OAuth."""

from tests import factories
from tests.api.caller import Caller
from tests.api.mcp.agent import Agent


def test_many_people_are_made_and_tagged_at_once(alice: Caller) -> None:
    agent = Agent(alice.key)
    people = [{"email_address": f"reader{number}@example.net"} for number in range(3)]
    made = agent.did("bulk_create_subscribers", subscribers=people)["subscribers"]
    tag = agent.did("bulk_create_tags", tags=[{"name": "Readers"}])["tags"][0]["id"]
    pairs = [{"tag_id": tag, "subscriber_id": one["id"]} for one in made]
    agent.did("bulk_tag_subscribers", taggings=pairs)
    assert len(agent.did("list_subscribers_for_tag", id=tag)["subscribers"]) == 3
    agent.did("bulk_remove_tags_from_subscribers", taggings=pairs[:2])
    assert len(agent.did("list_subscribers_for_tag", id=tag)["subscribers"]) == 1
    agent.did("bulk_delete_tags", tags=[{"id": tag}])
    assert agent.did("list_tags")["tags"] == []


def test_above_a_hundred_they_are_made_in_the_background(alice: Caller) -> None:
    people = [{"email_address": f"reader{number}@example.net"} for number in range(101)]
    told = Agent(alice.key).did("bulk_create_subscribers", subscribers=people)
    assert told == {"message": "It is being done in the background"}


def test_a_key_without_full_access_hears_what_it_takes(alice: Caller) -> None:
    agent = Agent(factories.make_key(alice.account, has_full_access=False)[1])
    said = agent.refused("bulk_create_tags", tags=[{"name": "Readers"}])
    assert said == "The access token is invalid\nThis needs an API key with full access, or OAuth"
