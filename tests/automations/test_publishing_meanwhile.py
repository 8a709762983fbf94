"""An edit is published while others walk, each on a connection of its own (A12): whoever walks follows the old graph or
the new one, never half of each."""

from collections import deque
from collections.abc import Callable

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import publishing, read, tick, verbs
from dripstone.automations.book import Book
from dripstone.automations.models import Automation, Step, Walk
from dripstone.errors import Unseen
from dripstone.events import causes
from dripstone.subscribers import tags
from dripstone.subscribers.models import Tag, Tagging
from tests.automations.making import DAY, NOW, add, automation, draft, tag, tagged, wait
from tests.factories import make_subscriber, make_tag
from tests.racing import together

LATER = NOW + 3 * DAY


def at_once(*calls: Callable[[], None]) -> None:
    """Each on a connection of its own; what one of them raises is raised."""
    left = deque(calls)
    for failed in [one for one in together(lambda: left.popleft()(), times=len(calls)) if one is not None]:
        raise failed


def publish_as_seen(one: Automation) -> None:
    """As owners do: look at what it does, publish, and look again if people have walked meanwhile."""
    while True:
        try:
            publishing.publish(one, LATER, token=publishing.plan(one).token())
        except Unseen:
            continue
        return


def ticking() -> None:
    book = Book()
    while tick.some(LATER, book).is_more:
        pass


def reading() -> None:
    while read.events(LATER).is_more:
        pass


@pytest.mark.django_db(transaction=True)
def test_whoever_walks_meanwhile_follows_the_old_graph_or_the_new_one(alice: Account) -> None:
    olds, news = ([make_tag(alice, name=f"{which} {n}") for n in range(3)] for which in ("old", "new"))
    jump = make_tag(alice, name="jump")
    walking, pulled = ([make_subscriber(alice) for _ in range(25)] for _ in range(2))
    one = automation(alice, wait("w", "o0"), *_tagging("o", olds), tagged("e", jump, "z"), wait("z", days=90))
    add(one, *walking, *pulled)
    for person in pulled:
        tags.add(jump, person, NOW, cause=causes.OWNER)
    one.refresh_from_db()
    saved = draft(one, wait("w", "n0"), *_tagging("n", news), tagged("e", jump, "y"), wait("y", days=90))
    at_once(lambda: publish_as_seen(saved), ticking, ticking, reading)
    ticking()  # whom the others have passed over because somebody held them
    for person in (*walking, *pulled):
        has = {*Tagging.objects.filter(subscriber=person).exclude(tag=jump).values_list("tag", flat=True)}
        assert has in ({one.pk for one in olds}, {one.pk for one in news}, set())
        assert has or person in pulled, "only an event takes somebody past what is to be done"
        whole = [["o0", "o1", "o2"], ["n0", "n1", "n2"], []]
        acted = [part["node"] for row in _steps(person.pk) for part in row.path if part["what"] == "acted"]
        assert acted in whole
    ends = Walk.objects.filter(automation=one, left_at=None).values_list("node", flat=True)
    assert len(ends) == 50 and {*ends} <= {*verbs.published(one).nodes}, "nobody is ever without a node"


def _tagging(name: str, tags: list[Tag]) -> list[dict[str, object]]:
    """One after the other, and on to the event."""
    ways = [*(f"{name}{n}" for n in range(1, len(tags))), "e"]
    return [tag(f"{name}{n}", one, to) for n, (one, to) in enumerate(zip(tags, ways, strict=True))]


def _steps(person: int) -> list[Step]:
    return list(Step.objects.filter(subscriber_id=person).order_by("pk"))
