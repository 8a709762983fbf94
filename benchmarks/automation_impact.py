"""How long does it take to say what an edit or a switch of an automation would do to 100,000 people inside?

A graph of twelve nodes: waits, a sequence, a condition that waits, an event, a split by shares and one by condition.
People stand at every node, the most at the condition. Measured per question: the answer, and the token alone, which the
act computes again while it holds the automation. The aim is 300 ms.

    python -m benchmarks.automation_impact [--small] [--json FILE]
"""

import statistics
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.automations.models import Automation
    from dripstone.foresight.automation_impact import AutomationImpact

SIZES, SMALL_SIZES = (1_000, 100_000), (100, 1_000)
N_READINGS = 5
DAY = timedelta(days=1)

# n: 0 for the first person, 1 for the next; half of them stand at the condition.
_STAND = """
INSERT INTO automations_walk (account_id, automation_id, subscriber_id, run, entry, cause, is_from_outside, entered_at,
    node, arrived_at, is_begun, due_at, ends_at, called_to, acted, is_ours, after_event, left_because, is_completed)
SELECT %(account)s, %(automation)s, %(lowest)s + n, 1, 'a', '{api}', true, now() - interval '3 days',
    node, now() - interval '1 day' - n * interval '1 second', true, ends, ends, '', '{}', false, 0, '', false
FROM (SELECT n, (ARRAY['member', 'first', 'member', 'second', 'member', 'course', 'member', 'bought'])[1 + n %% 8]
             AS node, now() + (n %% 10 - 4) * interval '1 hour' AS ends
      FROM generate_series(0, %(n_people)s - 1) n) standing
"""


def main() -> None:
    options = common.arguments(__doc__.partition("\n")[0]).parse_args()
    report = common.Report("automation_impact")
    with common.database():
        account = common.make_account()
        sizes = SMALL_SIZES if options.small else SIZES
        report.table("Impact", [row for size in sizes for row in measure(account, size)])
    report.save(options.json)


def measure(account: "Account", n_people: int) -> Iterator[common.Figures]:
    one = seed(account, n_people)
    for title, ask in questions(one):
        costs = []
        for _ in range(N_READINGS):
            with common.measured() as cost:
                ask()
            costs.append(cost)
        yield {
            "question": title,
            "people inside": n_people,
            "ms": 1000 * statistics.median(cost.wall for cost in costs),
            "slowest ms": 1000 * max(cost.wall for cost in costs),
            "CPU ms": 1000 * statistics.median(cost.python + cost.server for cost in costs),
        }


def questions(one: "Automation") -> "Iterator[tuple[str, Callable[[], AutomationImpact | str]]]":
    from dripstone import clock
    from dripstone.automations import publishing
    from dripstone.automations.models import Automation
    from dripstone.foresight import automation_impact

    now, tag_id = clock.now(), one.account.tags.get().pk
    nodes = graph(tag_id, one.account.sequences.get().pk)["nodes"]
    without = {key: [node for node in nodes if node["id"] != key] for key in ("member", "second")}
    drafts: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
        "delete a wait": (leading(without["second"], "second", "course"), {}),
        "delete the condition": (leading(without["member"], "member", "parted"), {}),
        "another condition": (changed(nodes, "member", **{"if": {"not": {"type": "tags", "ids": [tag_id]}}}), {}),
        "another limit, dates anew": (
            changed(nodes, "member", within={"days": 2}),
            {"nodes": {"member": {"dates": "anew"}}},
        ),
    }
    for title, (drafted, choices) in drafts.items():
        draft = read(one, drafted)
        yield title, partial(automation_impact.of_publish, one, draft, now, choices)
        yield f"{title}: the token alone", publishing.plan(one, draft, choices).token
    Automation.objects.filter(pk=one.pk).update(status="paused")
    one.refresh_from_db()
    yield "switch it on", partial(automation_impact.of_switch, one, "active", now)
    yield (
        "switch it on, the overdue leave",
        partial(automation_impact.of_switch, one, "active", now, "leave", timedelta(hours=2)),
    )
    yield "delete it", partial(automation_impact.of_removal, one, now, "end")


def read(one: "Automation", nodes: list[dict[str, Any]]) -> Any:
    from dripstone.automations import verbs

    return verbs.read(one, {"entries": one.entries, "start": "first", "nodes": nodes})


def leading(nodes: list[dict[str, Any]], gone: str, to: str) -> list[dict[str, Any]]:
    """What led to the one that is gone leads to another."""
    return [{name: to if value == gone else value for name, value in node.items()} for node in nodes]


def changed(nodes: list[dict[str, Any]], key: str, **members: Any) -> list[dict[str, Any]]:
    return [node | members if node["id"] == key else node for node in nodes]


def graph(tag_id: int, sequence_id: int) -> dict[str, Any]:
    has = {"type": "tags", "ids": [tag_id]}

    def wait(key: str, to: str | None) -> dict[str, Any]:
        return {"id": key, "kind": "wait", "for": {"days": 3}, "next": to}

    def share(percent: int, to: str) -> dict[str, Any]:
        return {"percent": percent, "next": to}

    nodes: list[dict[str, Any]] = [
        wait("first", "second"),
        wait("second", "course"),
        {"id": "course", "kind": "sequence", "sequence_id": sequence_id, "wait": "completed", "next": "member"},
        {"id": "member", "kind": "condition", "if": has, "within": {"days": 9}, "yes": "parted", "no": "sorted"},
        {"id": "parted", "kind": "split", "branches": [share(30, "last"), share(70, "mark")]},
        {"id": "mark", "kind": "tag", "tag_id": tag_id, "next": "again"},
        {"id": "again", "kind": "sequence", "sequence_id": sequence_id, "wait": "completed", "next": None},
        {"id": "sorted", "kind": "split", "branches": [{"if": has, "next": "last"}], "otherwise": "bought"},
        {"id": "bought", "kind": "event", "trigger": "tag_added", "tag_id": tag_id, "next": "last"},
        wait("last", "tell"),
        {"id": "tell", "kind": "mail_owner", "text": "One more", "next": "out"},
        {"id": "out", "kind": "untag", "tag_id": tag_id, "next": None},
    ]
    return {"entries": [{"trigger": "tag_added", "tag_id": tag_id}], "start": "first", "nodes": nodes}


def seed(account: "Account", n_people: int) -> "Automation":
    from dripstone import clock
    from dripstone.automations import switching, verbs
    from dripstone.events import causes
    from dripstone.subscribers import tags
    from dripstone.subscribers.models import Tag

    common.empty()
    common.execute("TRUNCATE automations_walk")
    Tag.objects.all().delete()
    account.sequences.all().delete()
    sequence = common.make_sequence(account, "Course")
    tag, _ = tags.create(account.pk, {"name": "Member"}, clock.now(), cause=causes.OWNER)
    one = verbs.create(account, {"name": "Big", **graph(tag.pk, sequence.pk)}, clock.now())
    switching.activate(one, clock.now())
    lowest = common.add_people(account, n_people)
    ids = {"account": account.pk, "automation": one.pk, "lowest": lowest, "n_people": n_people}
    common.execute(_STAND, ids)
    common.execute(
        "INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)"
        " SELECT %(tag)s, %(lowest)s + n, now() FROM generate_series(0, %(n_people)s - 1, 3) n",
        {**ids, "tag": tag.pk},
    )
    common.settle()
    common.execute("VACUUM (ANALYZE) automations_walk, subscribers_tagging")
    return verbs.of(account).get(pk=one.pk)


if __name__ == "__main__":
    main()
