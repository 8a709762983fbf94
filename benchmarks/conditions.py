"""What does it cost to ask who meets a condition, at 100,000 people and at a million, and does it grow?

One account with n people; tags that nine in ten, one in a hundred and one in ten thousand have, a form, custom fields,
and one sequence in which nearly all are, with two deliveries each. Each kind of leaf, and conditions made of several,
by the queryset that everybody uses: all who meet it counted, the newest 50 listed, and 2,000 asked at once as planning
does. The middle of several, after one to warm up. What is listed and asked must be what is counted.

    python -m benchmarks.conditions [--small] [--people N,N] [--only WORD] [--explain] [--json FILE]
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks import _million, common

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from dripstone.accounts.models import Account
    from dripstone.subscribers.models import Subscriber

SIZES: tuple[int, ...] = (100_000, 1_000_000)
SMALL_SIZES: tuple[int, ...] = (500, 3_000)
N_CALLS = 5
PATIENCE = 3.0  # seconds: what takes longer is asked fewer times
N_ASKED = 2_000
PAGE = 50

Condition = dict[str, Any]

_PEOPLE = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                    canceled_at)
SELECT %(account)s, 'reader' || i || CASE WHEN i %% 5000 = 7 THEN '@rare.test' ELSE '@example.org' END, 'Ana',
       CASE WHEN i %% 100 < 95 THEN 'active' WHEN i %% 100 < 98 THEN 'cancelled' ELSE 'bounced' END,
       jsonb_build_object(%(city)s::text, (ARRAY['Łódź', 'Lagos', 'Leeds'])[1 + i %% 3],
                          %(points)s::text, (i %% 10000)::text,
                          %(renewal)s::text, (date '2026-01-01' + i %% 1000)::text),
       %(now)s - (1 - i::float8 / %(n)s) * interval '730 days', %(now)s,
       CASE WHEN i %% 100 BETWEEN 95 AND 97 THEN %(now)s::timestamptz END
FROM generate_series(1, %(n)s) i
"""


@dataclass(frozen=True, slots=True)
class Measured:
    n_people: int
    count_ms: float
    page_ms: float
    asked_ms: float


@dataclass(slots=True)
class World:
    account: "Account"
    now: datetime
    conditions: dict[str, Condition]


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--people", help="how many, twice (default 100000,1000000)")
    parser.add_argument("--only", default="", help="conditions whose name has this in it")
    parser.add_argument("--explain", action="store_true", help="also print the plans at the greater size")
    options = parser.parse_args()
    sizes = SMALL_SIZES if options.small else SIZES
    if options.people:
        sizes = tuple(int(text) for text in options.people.split(","))
    report = common.Report("conditions")
    with common.database():
        runs = [run(size, options.only, explain=options.explain and size == sizes[-1]) for size in sizes]
        report.table(f"Milliseconds, {sizes[0]:,} and {sizes[-1]:,} people", list(compared(runs, sizes)))
    report.save(options.json)


def compared(runs: list[dict[str, Measured]], sizes: tuple[int, ...]) -> Iterator[common.Figures]:
    for name, last in runs[-1].items():
        first = runs[0][name]
        yield {
            "people who": name,
            "there are": last.n_people,
            f"count, {sizes[0]:,}": first.count_ms,
            f"count, {sizes[-1]:,}": last.count_ms,
            "growth": last.count_ms / first.count_ms,
            f"page, {sizes[0]:,}": first.page_ms,
            f"page, {sizes[-1]:,}": last.page_ms,
            "page growth": last.page_ms / first.page_ms,
            f"{N_ASKED:,} asked, {sizes[0]:,}": first.asked_ms,
            f"{N_ASKED:,} asked, {sizes[-1]:,}": last.asked_ms,
        }


# --- Measuring --------------------------------------------------------------------------------------------------


def run(n_people: int, only: str, *, explain: bool) -> dict[str, Measured]:
    began = time.perf_counter()
    world = seed(n_people)
    common.out.print(f"{n_people:,} people made in {time.perf_counter() - began:.0f} s", style="dim")
    found = {}
    for name, condition in world.conditions.items():
        if only in name:
            found[name] = measure(world, condition)
            if explain:
                explained(name, world, condition)
    return found


def measure(world: World, condition: Condition) -> Measured:
    from dripstone.subscribers.models import Subscriber

    rows = Subscriber.objects.filter(account=world.account).order_by("-pk")
    among = list(rows.values_list("pk", flat=True)[: N_ASKED * 2 : 2])
    n_people, count_ms = timed(lambda: people(world, condition).count())
    page, page_ms = timed(lambda: list(page_of(world, condition)))
    asked, asked_ms = timed(lambda: set(people(world, condition, among).values_list("pk", flat=True)))
    assert len(page) == min(PAGE, n_people), (condition, len(page), n_people)
    on_page = {row.pk for row in page}
    assert on_page & set(among) <= asked, condition
    return Measured(n_people, count_ms, page_ms, asked_ms)


def people(world: World, condition: Condition, among: list[int] | None = None) -> "QuerySet[Subscriber]":
    from dripstone.conditions import matching

    return matching(condition, world.account, world.now, among=among)


def page_of(world: World, condition: Condition) -> "QuerySet[Subscriber]":
    return people(world, condition).order_by("-pk")[:PAGE]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the middle of its milliseconds."""
    found, times = call(), list[float]()
    while len(times) < N_CALLS and sum(times) < PATIENCE:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return found, statistics.median(times) * 1000


def explained(name: str, world: World, condition: Condition) -> None:
    for what, rows in (("page", page_of(world, condition)), ("count", people(world, condition).values("pk"))):
        common.out.print(f"\n{name}: {what}\n{rows.explain(analyze=True)}", style="dim")


# --- What is asked ----------------------------------------------------------------------------------------------


def conditions(ids: dict[str, int]) -> Iterator[tuple[str, Condition]]:
    common_tag, some_tag, rare_tag = ({"type": "tags", "ids": [ids[name]]} for name in ("common", "some", "rare"))
    form = {"type": "forms", "ids": [ids["form"]]}
    inside = {"type": "sequences", "ids": [ids["sequence"]], "place": "inside"}
    completed = {**inside, "place": "completed"}
    active = {"type": "subscriber_state", "states": ["active"]}
    yield "are on the list", {"all": []}
    yield "have a common tag", common_tag
    yield "have a tag of one in 100", some_tag
    yield "have a tag of one in 10,000", rare_tag
    yield "do not have the common tag", {"not": common_tag}
    yield "do not have the rare tag", {"not": rare_tag}
    yield "signed up by the form", form
    yield "are inside", inside
    yield "completed", completed
    yield "have left", {**inside, "place": "left"}
    yield "wait for a rare email", {**inside, "waiting_for": [ids["rare_email"]]}
    yield "are active", active
    yield "bounced", {"type": "subscriber_state", "states": ["bounced"]}
    yield "have an address", {"type": "email_address", "comparison": "is", "value": "reader77@example.org"}
    yield "have addresses at a rare domain", {"type": "email_address", "comparison": "ends_with", "value": "@rare.test"}
    for name, field, comparison, value in (
        ("have a city", "city", "is", "Leeds"),
        ("have a city with …", "city", "contains", "ÓDŹ"),
        ("have no such city", "city", "contains", "Paris"),
        ("have over 9,990 points", "points", "greater_than", "9990"),
        ("have a renewal before …", "renewal", "before", "2026-02-01"),
    ):
        pk = ids[field]
        yield name, {"type": "custom_field", "subscriber_custom_field_id": pk, "comparison": comparison, "value": value}
    yield "subscribed in 7 days", {"type": "subscribed", "within_days": 7}
    yield "subscribed long ago", {"type": "subscribed", "before": ids["old"]}
    referrer = {"type": "referrer", "comparison": "contains", "value": "utm_source=bench"}
    yield "first came from …", {"type": "attribution", "any": [referrer]}
    yield "were sent something", {"type": "sent"}
    yield "were sent something in 7 days", {"type": "sent", "within_days": 7}
    yield "were sent 2 emails", {"type": "sent", "count_greater_than": 1}
    yield "were sent 1 email at most", {"type": "sent", "count_less_than": 2}
    yield "were sent an email", {"type": "sent", "any": [{"type": "emails", "ids": [ids["email"]]}]}
    yield "were not sent it", {"not": {"type": "sent", "any": [{"type": "emails", "ids": [ids["email"]]}]}}
    bought = {"type": "purchases"}
    common_product, rare_product = ([ids[name]] for name in ("product", "rare_product"))
    yield "bought something", bought
    yield "bought nothing", {"not": bought}
    yield "bought something in 7 days", {**bought, "within_days": 7}
    yield "bought a common product", {**bought, "products": common_product}
    yield "bought a rare product", {**bought, "products": rare_product}
    yield "bought over 100 times", {**bought, "count_greater_than": 100}
    yield "bought for 30 USD at most", {**bought, "total_less_than_or_equal": 30, "currency": "USD"}
    yield "are in Norway", {"type": "location", "countries": ["NO"]}
    yield "are in Germany", {"type": "location", "countries": ["DE"]}
    yield "are near Berlin", {"type": "location", "latitude": 52.5, "longitude": 13.4, "radius": 100.0}
    yield "common tag and inside", {"all": [common_tag, inside, active]}
    yield "common tag, not completed", {"all": [common_tag, {"not": completed}]}
    yield "rare tag or form", {"any": [rare_tag, {"type": "forms", "ids": [ids["rare_form"]]}]}
    yield "common tag or form", {"any": [common_tag, form]}
    yield "rare tag, or active and inside", {"any": [rare_tag, {"all": [active, inside]}]}
    yield "neither tag nor form", {"not": {"any": [common_tag, form]}}
    yield "rare: both tags or two of three", {"any": [{"all": [some_tag, rare_tag]}, {"all": [rare_tag, form]}]}
    yield "a segment in a segment", {"type": "segments", "ids": [ids["segment"]]}
    yield "any of 100", {"any": [{"type": "tags", "ids": [pk]} for pk in range(ids["small"], ids["small"] + 100)]}
    yield "100 that nobody has", {"all": [{"not": {"type": "tags", "ids": [ids["small"] + i]}} for i in range(100)]}


# --- Rows -------------------------------------------------------------------------------------------------------


def seed(n_people: int) -> World:
    """An account of its own; the people of the size before are gone."""
    common.empty()
    now = datetime.now(UTC)
    account = common.make_account()
    million = _million.World(account, "", common.make_sequence(account, "Course"), {}, now)
    _million.make_small_things(million)
    ids = things(account, million.sequence.pk, now)
    with common.without_key_checks():
        names = {"account": account.pk, "now": now}
        fields = {name: str(ids[name]) for name in ("city", "points", "renewal")}
        common.execute(_PEOPLE, {**names, **fields, "n": n_people})
        for name, percent in (("common", 90), ("some", 1)):
            common.execute(_million.TAGGED, {**names, "owner": ids[name], "percent": percent})
        common.execute(
            "INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at) SELECT %(rare)s, id, %(now)s"
            " FROM subscribers_subscriber WHERE account_id = %(account)s AND id %% 10000 = 7",
            {**names, "rare": ids["rare"]},
        )
        common.execute(_million.ON_FORM, {**names, "owner": ids["form"], "percent": 90})
        _million.make_places(million)
        _million.make_purchases(million)
    common.execute("VACUUM (ANALYZE)")
    common.checkpoint()
    return World(account, now, dict(conditions(ids)))


def things(account: "Account", sequence_id: int, now: datetime) -> dict[str, Any]:
    """Ids by the names that `conditions` uses; `old` is a date, and from `small` on there are 190 tags nobody has."""
    from dripstone.conditions import segments
    from dripstone.sequences.models import SequenceEmail
    from dripstone.subscribers.models import CustomField

    # As _million.py has it: people wait for the email at position 3, one of 8,009 for the one at 1.
    SequenceEmail.objects.filter(sequence=sequence_id, position=2).update(position=3)
    emails = dict(SequenceEmail.objects.filter(sequence=sequence_id).values_list("position", "pk"))
    tags = list(account.tags.order_by("pk").values_list("pk", flat=True))
    forms = list(account.forms.order_by("pk").values_list("pk", flat=True))
    found: dict[str, Any] = {"city": account.custom_fields.get().pk, "sequence": sequence_id}
    for key in ("points", "renewal"):
        names = {"label": key, "key": key, "name": f"ck_{key}"}
        found[key] = CustomField.objects.create(account=account, created_at=now, **names).pk
    found |= {"common": tags[0], "some": tags[1], "rare": tags[2], "small": tags[10], "form": forms[0]}
    products = list(account.products.order_by("pk").values_list("pk", flat=True))
    found |= {"product": products[0], "rare_product": products[1]}
    found |= {"rare_form": forms[1], "email": emails[0], "rare_email": emails[1]}
    found["old"] = now.replace(year=now.year - 2, month=12, day=31).date().isoformat()
    inner = {"any": [{"type": "tags", "ids": [found["some"]]}, {"type": "tags", "ids": [found["rare"]]}]}
    segment = segments.create(account.pk, {"name": "Inner", "filter": inner}, now)
    outer = {"all": [{"type": "segments", "ids": [segment.pk]}, {"type": "subscriber_state", "states": ["active"]}]}
    found["segment"] = segments.create(account.pk, {"name": "Outer", "filter": outer}, now).pk
    return found


if __name__ == "__main__":
    main()
