"""A million people, and how long a call takes among them and among a tenth: what lists.py and pages.py share.

One account with n people of every state, a tag and a form that most of them have, and one sequence in which 95 % of
them are, with two deliveries each; many small tags, forms and sequences beside them. Calls go through Django's own test
client: the whole application, without a socket. Per call the middle of several, after one to warm up.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import common

if TYPE_CHECKING:
    from django.test import Client

    from dripstone.accounts.models import Account
    from dripstone.images.models import Image
    from dripstone.sequences.models import Sequence

SIZES: tuple[int, ...] = (100_000, 1_000_000)
SMALL_SIZES: tuple[int, ...] = (500, 3_000)
N_CALLS = 7
PATIENCE = 3.0  # seconds: what takes longer is called fewer times
N_SMALL_THINGS = 200  # tags, forms, sequences that few people have; snippets and templates beside those in use
N_EMAILS = 15  # in each of the small sequences
N_IMAGES = 1_000
N_VERSIONS = 100  # of the large sequence's first email
YEARS_2 = timedelta(days=730)

# n-th of N people: 90 in 100 active, spread over two years in order of their ids; changed some time after that.
_PEOPLE = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                    canceled_at)
SELECT %(account)s, 'reader' || i || '@example.org',
       CASE WHEN i %% 20000 = 3 THEN 'Zebulon Ortíz' WHEN i %% 3 = 0 THEN 'Ana María' WHEN i %% 3 = 1 THEN 'Ana'
            ELSE (ARRAY['Björn Öberg', 'Đorđe', 'Łukasz Nowak', 'Grace Kim'])[1 + i %% 4] END, s.state,
       jsonb_build_object(%(field)s::text, 'Łódź'),
       s.created_at, s.updated_at, CASE WHEN s.state = 'cancelled' THEN s.updated_at END
FROM generate_series(1, %(n)s) i
CROSS JOIN LATERAL (
    SELECT CASE WHEN i %% 100 < 90 THEN 'active' WHEN i %% 100 < 94 THEN 'inactive' WHEN i %% 100 < 98 THEN 'cancelled'
                WHEN i %% 100 < 99 THEN 'bounced' ELSE 'complained' END AS state,
           %(now)s - (1 - i::float8 / %(n)s) * %(span)s::interval AS created_at,
           %(now)s - (1 - i::float8 / %(n)s) * random() * %(span)s::interval AS updated_at) s
"""
# The given share of the people, each at an instant of its own after they came in.
TAGGED = """
INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)
SELECT %(owner)s, id, created_at + random() * (%(now)s - created_at) FROM subscribers_subscriber
WHERE account_id = %(account)s AND id * 7 %% 1009 %% 100 < %(percent)s
"""
ON_FORM = """
INSERT INTO subscribers_formsubscription (form_id, subscriber_id, referrer, added_at)
SELECT %(owner)s, id, 'https://example.com/?utm_source=bench', created_at FROM subscribers_subscriber
WHERE account_id = %(account)s AND id * 7 %% 1009 %% 100 < %(percent)s
"""
# 95 in 100 people: 60 wait for the last email (of 8,009 one for the second), 20 have completed, 10 were removed, and
# the unconfirmed wait.
_PLACES = """
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, completed_at, removed_at, removed_reason)
SELECT p.account_id, %(sequence)s, p.id, s.status, 1, 'api', p.created_at, p.created_at,
       CASE WHEN s.status = 'active' THEN m.id END,
       CASE WHEN s.status = 'active' THEN %(now)s + random() * interval '14 days' END, false,
       CASE WHEN s.status = 'completed' THEN %(now)s END, CASE WHEN s.status = 'removed' THEN %(now)s END,
       CASE WHEN s.status = 'removed' THEN {reason} ELSE '' END
FROM subscribers_subscriber p
JOIN sequences_sequenceemail m ON m.sequence_id = %(sequence)s AND m.position = 3 - 2 * (p.id * 7 %% 8009 = 1)::int
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.state = 'inactive' THEN 'unconfirmed' WHEN p.id %% 10 < 2 THEN 'completed'
                WHEN p.state = 'active' AND p.id %% 10 < 9 THEN 'active' ELSE 'removed' END AS status) s
WHERE p.account_id = %(account)s AND p.id %% 20 > 0
ORDER BY p.id
"""
# Two each, the first email to everybody and then the second; of a thousand, 2 failed, 5 were skipped, and of one in
# 20,000 it is not known.
_DELIVERIES = """
INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                             attempt, planned_at, sent_at, ended_at, worker, provider_id)
SELECT e.account_id, e.sequence_id, e.subscriber_id, e.id, 1, m.id, s.status, '', 1, s.at,
       CASE WHEN s.status = 'sent' THEN s.at END, s.at, '', ''
FROM sequences_sequenceemail m JOIN engine_enrollment e ON e.sequence_id = m.sequence_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN e.id %% 1000 < 2 THEN 'failed' WHEN e.id %% 1000 < 7 THEN 'skipped'
                WHEN e.id %% 20000 = 7 THEN 'unknown' ELSE 'sent' END AS status,
           e.entered_at + m.position * interval '1 day' AS at) s
WHERE m.sequence_id = %(sequence)s AND m.position < 2 AND m.id IS DISTINCT FROM e.next_email_id
ORDER BY m.position, e.id
"""
# One reader who has been in all the small sequences, round and round in one of them: some 5,000 deliveries. They are
# still inside the newest ones, and have completed the others.
_BUSY_PLACES = """
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, completed_at, removed_reason)
SELECT s.account_id, s.id, %(busy)s, CASE WHEN place <= 5 THEN 'active' ELSE 'completed' END,
       CASE WHEN place = 1 THEN 140 ELSE 1 END, 'api', %(now)s - interval '30 days', %(now)s - interval '30 days',
       CASE WHEN place <= 5 THEN last.id END, CASE WHEN place <= 5 THEN %(now)s + interval '1 day' END, false,
       CASE WHEN place > 5 THEN %(now)s END, ''
FROM (SELECT *, row_number() OVER (ORDER BY id DESC) AS place FROM sequences_sequence
      WHERE account_id = %(account)s AND id <> %(sequence)s) s
CROSS JOIN LATERAL (SELECT id FROM sequences_sequenceemail WHERE sequence_id = s.id ORDER BY position DESC LIMIT 1) last
"""
_BUSY_DELIVERIES = """
INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                             attempt, planned_at, sent_at, ended_at, worker, provider_id)
SELECT e.account_id, e.sequence_id, e.subscriber_id, e.id, r.number, m.id, 'sent', '', 1, at, at, at, '', ''
FROM engine_enrollment e CROSS JOIN generate_series(1, e.run) AS r(number)
JOIN sequences_sequenceemail m ON m.sequence_id = e.sequence_id AND m.id IS DISTINCT FROM e.next_email_id
CROSS JOIN LATERAL (SELECT e.entered_at + r.number * interval '2 hours' + m.position * interval '1 minute' AS at) t
WHERE e.subscriber_id = %(busy)s AND e.sequence_id <> %(sequence)s
"""
_CAPTURED = """
INSERT INTO senders_capturedmessage (account_id, "to", from_address, subject, message_id, sent_at, raw)
SELECT %(account)s, 'reader' || i || '@example.org', 'alice@example.com', 'Letter', '<' || i || '@example.com>',
       %(now)s, convert_to(E'From: alice@example.com\\nSubject: Letter\\n\\nHello\\n', 'UTF8')
FROM generate_series(1, %(n)s) i
"""
_EVENTS = """
INSERT INTO events_event (account_id, type, subscriber_id, subject_id, data, occurred_at)
SELECT account_id, 'subscriber.unsubscribed', subscriber_id, id, '{}', ended_at FROM engine_delivery WHERE id % 50 = 0
"""
_ENTRIES = """
INSERT INTO engine_entry (enrollment_id, sequence_id, entered_at)
SELECT id, sequence_id, entered_at FROM engine_enrollment
"""
# Two for half of the people, a thousand for one in 5,000. Two lines each, of 200 products, of which one is in all.
PURCHASES = """
INSERT INTO purchases_purchase (account_id, subscriber_id, transaction_id, status, is_paid, source, currency,
                                transaction_time, subtotal, tax, shipping, discount, total, created_at, updated_at)
SELECT %(account)s, p.id, 't' || i, CASE WHEN i %% 20 = 0 THEN 'refunded' ELSE 'paid' END, i %% 20 > 0, 'Shop',
       CASE WHEN i %% 3 = 0 THEN 'EUR' ELSE 'USD' END, at, 20, 2, 0, 0, 22, at, at
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS n FROM subscribers_subscriber
      WHERE account_id = %(account)s) p
CROSS JOIN LATERAL generate_series(
    1, CASE WHEN p.place %% 5000 = 1 THEN 1000 WHEN p.place %% 2 = 0 THEN 2 ELSE 0 END) k
CROSS JOIN LATERAL (
    SELECT p.place * 10000 + k AS i, %(now)s - (1 - p.place::float8 / p.n) * interval '730 days' AS at) t
ORDER BY p.id, k
"""
LINES = """
INSERT INTO purchases_lineitem (purchase_id, product_id, lid, name, quantity, unit_price)
SELECT b.id, o.id, l::text, o.name, 1, 10 FROM purchases_purchase b CROSS JOIN generate_series(1, 2) l
JOIN purchases_product o ON o.account_id = b.account_id AND o.pid = CASE l WHEN 1 THEN 'p0' ELSE 'p' || b.id %% 200 END
WHERE b.account_id = %(account)s ORDER BY b.id
"""
# Nine in ten people are somewhere, one of 10,000 in Norway.
LOCATIONS = """
INSERT INTO subscribers_location (subscriber_id, account_id, city, state_province, country_code, latitude, longitude,
                                  time_zone, pinned_at)
SELECT id, account_id, 'Somewhere', 'Some',
       CASE WHEN id %% 10000 = 7 THEN 'NO' WHEN id %% 3 = 0 THEN 'DE' ELSE 'US' END,
       (id * 7 %% 17000) / 100.0 - 85, (id * 13 %% 36000) / 100.0 - 180, 'UTC', %(now)s
FROM subscribers_subscriber WHERE account_id = %(account)s AND id %% 10 > 0
"""
_NAMES = """
INSERT INTO subscribers_nameword (account_id, word, subscriber_id)
SELECT account_id, word, id FROM subscribers_subscriber CROSS JOIN LATERAL unnest(dripstone_words(first_name)) word
"""
_HEADS = """
INSERT INTO senders_capturedhead (account_id, message_id, head)
SELECT account_id, id, left(dripstone_folded("to" || ' ' || subject), 400) FROM senders_capturedmessage
"""
_REMOVED_REASON = "CASE p.state WHEN 'active' THEN 'removed_by_owner' ELSE 'subscriber_' || p.state END"


class Call(NamedTuple):
    """limit    milliseconds on a quiet machine
    is_act   by POST, from the page: an act that asks first, and is never answered
    body     of a POST of the API that only reads, as JSON
    """

    name: str
    url: str
    limit: int = 50
    is_act: bool = False
    body: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    ms: float
    cpu_ms: float  # of this process and PostgreSQL, the mean
    n_queries: int
    answer: Any  # the last one


@dataclass(slots=True)
class World:
    account: "Account"
    key: str
    sequence: "Sequence"
    ids: dict[str, int]
    now: datetime


Calls = Callable[[World], Iterator[Call]]


def compare(name: str, summary: str, calls: Calls, more: Callable[[Measured], common.Figures] = lambda _: {}) -> None:
    """Prints a table with a row for each call. `more`: further columns of it."""
    parser = common.arguments(summary)
    parser.add_argument("--people", help="how many, twice (default 100000,1000000)")
    parser.add_argument("--only", default="", help="calls whose name or URL has this in it")
    parser.add_argument("--explain", action="store_true", help="also print the plan of each call's slowest query")
    options = parser.parse_args()
    sizes = SMALL_SIZES if options.small else SIZES
    if options.people:
        sizes = tuple(int(text) for text in options.people.split(","))
    report = common.Report(name)
    with common.database(DRIPSTONE_RATE_LIMITS="off"):
        runs = [run(calls, size, options.only, explain=options.explain and size == sizes[-1]) for size in sizes]
        report.table(f"Milliseconds per call, {sizes[0]:,} and {sizes[-1]:,} people", list(compared(runs, sizes, more)))
    report.save(options.json)


def compared(
    runs: list[dict[Call, Measured]], sizes: tuple[int, ...], more: Callable[[Measured], common.Figures]
) -> Iterator[common.Figures]:
    for call, last in runs[-1].items():
        first = runs[0][next(one for one in runs[0] if one.name == call.name)]
        yield {
            "call": call.name,
            f"ms, {sizes[0]:,}": first.ms,
            f"ms, {sizes[-1]:,}": last.ms,
            "growth": last.ms / first.ms,
            "limit": call.limit,
            "over": "over" if last.ms > call.limit else "",
            "CPU ms": last.cpu_ms,
            "CPU growth": last.cpu_ms / max(first.cpu_ms, 0.1),
            "queries": last.n_queries,
            **more(last),
        }


# --- Measuring --------------------------------------------------------------------------------------------------


def run(calls: Calls, n_people: int, only: str, *, explain: bool) -> dict[Call, Measured]:
    began = time.perf_counter()
    world = seed(n_people)
    common.out.print(f"{n_people:,} people made in {time.perf_counter() - began:.0f} s", style="dim")
    api, member = clients(world)
    found = {}
    for call in calls(world):
        if only in call.name or only in call.url:
            client = api if call.url.startswith(("/v4", "/ext")) else member
            found[call] = measure(client, call, N_CALLS if n_people > max(SMALL_SIZES) else 1)
            if explain:
                explain_slowest(client, call)
    return found


def clients(world: World) -> "tuple[Client, Client]":
    """One with an API key, one whose person has signed in."""
    from django.conf import settings
    from django.test import Client

    from dripstone.accounts import members
    from dripstone.accounts.models import Role, User

    settings.ALLOWED_HOSTS = ["testserver"]
    user = User(email=f"alice{world.account.pk}@example.com", created_at=world.now)
    user.set_unusable_password()
    user.save()
    members.join(world.account, user, Role.OWNER, world.now)
    member = Client()
    member.force_login(user)
    return Client(headers={"X-Kit-Api-Key": world.key}), member


def measure(client: "Client", call: Call, n_calls: int) -> Measured:
    answer = get(client, call)
    n_queries = len(queries_of(client, call))
    times: list[float] = []
    with common.measured() as cost:
        while len(times) < n_calls and sum(times) < PATIENCE:
            began = time.perf_counter()
            answer = get(client, call)
            times.append(time.perf_counter() - began)
    return Measured(statistics.median(times) * 1000, (cost.python + cost.server) / len(times) * 1000, n_queries, answer)


def get(client: "Client", call: Call) -> Any:
    if call.body:
        response = client.post(call.url, call.body, content_type="application/json")
    else:
        response = client.post(call.url) if call.is_act else client.get(call.url)
    assert response.status_code == 200, (call.url, response.status_code, response.content[:300])
    return response


def queries_of(client: "Client", call: Call) -> list[dict[str, str]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        get(client, call)
    return list(captured.captured_queries)


def explain_slowest(client: "Client", call: Call) -> None:
    slowest = max(queries_of(client, call), key=lambda query: float(query["time"]))
    common.out.print(f"\n{call.name}: {slowest['time']} s\n{slowest['sql']}", style="dim")
    if slowest["sql"].startswith(("SELECT", "WITH")):
        for (line,) in common.execute("EXPLAIN (ANALYZE, BUFFERS) " + slowest["sql"]):
            common.out.print(f"    {line}")


# --- Rows -------------------------------------------------------------------------------------------------------


def seed(n_people: int) -> World:
    """An account of its own; the people of the size before are gone."""
    from dripstone.accounts.verbs import create_key
    from dripstone.tallies import verbs as tallies

    common.empty()
    common.execute("TRUNCATE senders_capturedmessage, senders_capturedhead, senders_capturedtext")
    now = datetime.now(UTC)
    account = common.make_account()
    key = create_key(account, "bench", now, has_full_access=True)[1]
    world = World(account, key, common.make_sequence(account, "Course"), {}, now)
    make_small_things(world)
    make_library(world)
    steps: list[Callable[[], object]] = [
        lambda: make_people(world, n_people),
        lambda: make_places(world),
        lambda: make_purchases(world),
        lambda: common.execute(_CAPTURED, {"account": account.pk, "n": max(100, n_people // 10), "now": now}),
        lambda: common.execute(_EVENTS),
    ]
    with common.without_key_checks():
        for step in steps:
            step()
    tallies.differences(repair=True)  # what was made without triggers, too, is counted
    tallies.fold()
    common.execute(_ENTRIES)
    common.execute(_NAMES)
    common.execute(_HEADS)
    note_ids(world)
    common.execute("VACUUM (ANALYZE)")
    common.checkpoint()
    return world


def make_small_things(world: World) -> None:
    from dripstone.purchases.models import Product
    from dripstone.sequences.models import Sequence
    from dripstone.subscribers.models import Form, Tag

    stamps = {"account": world.account, "created_at": world.now}
    Product.objects.bulk_create(Product(pid=f"p{i}", name=f"product {i}", **stamps) for i in range(N_SMALL_THINGS))
    Tag.objects.bulk_create(Tag(name=f"tag {i}", **stamps) for i in range(N_SMALL_THINGS))
    Form.objects.bulk_create(Form(name=f"form {i}", uid=f"{world.account.pk}-{i}", **stamps) for i in range(200))
    address = world.account.sending_addresses.get()
    Sequence.objects.bulk_create(
        Sequence(name=f"sequence {i}", sending_address=address, send_hour=9, time_zone="UTC", updated_at=world.now,
                 **stamps)
        for i in range(N_SMALL_THINGS)
    )  # fmt: skip


def make_library(world: World) -> None:
    """Thousands of emails, nearly all of which have one snippet, one template and one image; many of each that none
    has; an email that was published often; a draft before the email that most people wait for."""
    from dripstone.content.models import EmailTemplate, Snippet
    from dripstone.images.models import Image
    from dripstone.sequences import versions
    from dripstone.sequences.models import EmailVersion, SequenceEmail

    account, sequence = world.account, world.sequence
    stamps = {"account": account, "created_at": world.now, "updated_at": world.now}
    texts = {"snippet_type": "inline", "content": "Yours", **stamps}
    Snippet.objects.bulk_create(Snippet(name=f"Text {i}", key=f"text_{i}", **texts) for i in range(N_SMALL_THINGS))
    html = common.TEMPLATE
    EmailTemplate.objects.bulk_create(
        EmailTemplate(name=f"Look {i}", html=html, **stamps) for i in range(N_SMALL_THINGS)
    )
    Image.objects.bulk_create(_image(account, i, world.now) for i in range(N_IMAGES))
    content = f'{common.CONTENT}<img src="/i/{_digest(account, 0)}.png" alt="A cave">'
    written = {"published": True, "delay_value": 1, "delay_unit": "days", "content": content, **stamps}
    for small in account.sequences.exclude(pk=sequence.pk):
        SequenceEmail.objects.bulk_create(
            SequenceEmail(sequence=small, subject=f"Letter {i}", position=i, **written) for i in range(N_EMAILS)
        )
    draft = written | {"published": False, "subject": "Not yet", "position": 2}
    sequence.emails.filter(position=2).update(position=3)
    SequenceEmail.objects.create(sequence=sequence, **draft)
    email = sequence.emails.get(position=0)
    kept = versions.values(email) | {"published_at": world.now, "published_by": "alice@example.com"}
    EmailVersion.objects.bulk_create(
        EmailVersion(email=email, number=i, **kept | {"subject": f"Letter as of version {i}"})
        for i in range(1, N_VERSIONS)
    )


def _image(account: "Account", number: int, now: datetime) -> "Image":
    from dripstone.images.models import Image

    return Image(account=account, digest=_digest(account, number), kind="png", width=600, height=400, n_bytes=20_000,
                 name=f"cave {number}.png", created_at=now, content=b"\x89PNG" * 5_000)  # fmt: skip


def _digest(account: "Account", number: int) -> str:
    return f"{account.pk:016x}{number:016x}"


def make_people(world: World, n_people: int) -> None:
    account = world.account
    names = {"account": account.pk, "now": world.now}
    field = str(account.custom_fields.get().pk)
    common.execute(_PEOPLE, {**names, "field": field, "n": n_people, "span": YEARS_2})
    tags = list(account.tags.order_by("pk").values_list("pk", flat=True))
    forms = list(account.forms.order_by("pk").values_list("pk", flat=True))
    world.ids |= {"tag": tags[0], "small_tag": tags[1], "no_tag": tags[2], "form": forms[0], "field": int(field)}
    common.execute(TAGGED, {**names, "owner": tags[0], "percent": 90})
    common.execute(TAGGED, {**names, "owner": tags[1], "percent": 1})
    common.execute(ON_FORM, {**names, "owner": forms[0], "percent": 90})


def make_places(world: World) -> None:
    busy = common.execute("SELECT min(id) FROM subscribers_subscriber WHERE state = 'active'")[0][0]
    names = {"account": world.account.pk, "sequence": world.sequence.pk, "now": world.now, "busy": busy}
    world.ids["busy"] = busy
    common.execute(_BUSY_PLACES, names)
    common.execute(_BUSY_DELIVERIES, names)
    common.execute(_PLACES.format(reason=_REMOVED_REASON), names)
    common.execute(_DELIVERIES, names)


def make_purchases(world: World) -> None:
    names = {"account": world.account.pk, "now": world.now}
    for statement in (PURCHASES, LINES, LOCATIONS):
        common.execute(statement, names)


def note_ids(world: World) -> None:
    world.ids |= {
        "email": world.sequence.emails.order_by("position")[0].pk,
        "waited_for": world.sequence.emails.get(position=3).pk,
        "person": common.execute("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM subscribers_subscriber")[
            0
        ][0],
        "rarely_waited_for": world.sequence.emails.get(position=1).pk,
        "draft": world.sequence.emails.get(position=2).pk,
        "purchase": common.execute("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM purchases_purchase")[0][
            0
        ],
        "buyer": common.execute("SELECT min(subscriber_id) FROM purchases_purchase")[0][0],
        "place": common.execute("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM engine_enrollment")[0][0],
        "place_inside": common.execute("SELECT max(id) FROM engine_enrollment WHERE due_at IS NOT NULL")[0][0],
        "message": common.execute("SELECT max(id) FROM senders_capturedmessage")[0][0],
        "small_sequence": world.account.sequences.order_by("-pk")[0].pk,
        "middle_sequence": world.account.sequences.order_by("-pk")[N_SMALL_THINGS // 2].pk,
        "old_place": common.execute("SELECT percentile_disc(0.05) WITHIN GROUP (ORDER BY id) FROM engine_enrollment")[
            0
        ][0],
    }
    note_library(world)


def note_library(world: World) -> None:
    """What most emails have, and what none has."""
    account = world.account
    world.ids |= {
        "snippet": account.snippets.get(key="greeting").pk,
        "rare_snippet": account.snippets.order_by("-pk")[0].pk,
        "template": account.email_templates.get(is_default=True).pk,
        "rare_template": account.email_templates.order_by("-pk")[0].pk,
        "image": account.images.order_by("pk")[0].pk,
        "rare_image": account.images.order_by("-pk")[0].pk,
    }
