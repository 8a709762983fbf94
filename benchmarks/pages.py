"""How long does each page take at 100,000 people and at a million, how many queries is it, and how many KB?

Every page, and every part that is loaded after one, among the people of _million.py. `KB`: the HTML as it is sent,
compressed. `assets KB`: the scripts, styles and pictures of our own that a first visit loads beside it, compressed.

    python -m benchmarks.pages [--small] [--people N,N] [--only WORD] [--json FILE]
"""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import common
from benchmarks._million import Call, Measured, World, compare

_ASSET = re.compile(r'(?:src|href)="/static/([^"?]+)"')


def main() -> None:
    compare("pages", __doc__.partition("\n")[0], _pages, _sizes)


def _sizes(measured: Measured) -> common.Figures:
    html = b"".join(measured.answer) if measured.answer.streaming else measured.answer.content
    assets = set(_ASSET.findall(html.decode(errors="replace")))
    return {"KB": len(gzip.compress(html)) / 1024, "assets KB": sum(_packed(one) for one in assets) / 1024}


@cache
def _packed(name: str) -> int:
    from django.contrib.staticfiles import finders

    found = finders.find(re.sub(r"\.[0-9a-f]{12}(?=\.\w+$)", "", name))
    return len(gzip.compress(Path(found).read_bytes())) if found else 0


def _pages(world: World) -> Iterator[Call]:
    page = f"/sequences/{world.sequence.pk}"
    yield Call("page: home", "/", 100)
    yield Call("page: home, searched", "/?q=quence 1", 100)
    yield Call("page: home, older", f"/?before={world.ids['middle_sequence']}", 100)
    yield Call("page: new sequence", "/sequences/new", 100)
    yield Call("page: first run", "/first-run", 100)
    yield Call("page: sequence", page, 100)
    yield from _people_pages(world, f"{page}/people")
    yield from _person_pages(world)
    yield Call("page: settings of a sequence", f"{page}/settings", 100)
    yield Call("page: a new person", f"{page}/people/new", 100)
    for part in ("checks", "week"):  # loaded after the page, since they read everybody inside
        yield Call(f"page: {part} of a sequence", f"{page}/{part}", 1000)
    yield from _forecast_pages(world)
    yield Call("page: report", f"{page}/report", 100)
    yield Call("page: report, all of it", f"{page}/report?span=all", 100)
    yield Call("page: reports", "/reports", 100)
    yield from _editor_pages(world, f"{page}/emails/{world.ids['email']}")
    yield from _lists_of_people(world)
    yield Call("page: what was sent", "/deliveries", 100)
    for status in ("failed", "unknown", "skipped"):
        yield Call(f"page: what was sent, {status}", f"/deliveries?status={status}", 100)
        yield Call(f"page: what was sent, {status}, last", f"/deliveries?status={status}&after=0", 100)
    yield Call("page: inbox", "/inbox", 100)
    for text in ("to=reader7", "q=reader99", "q=letter", "q=hello", "q=nothing+like+it"):
        yield Call(f"page: inbox, {text}", f"/inbox?{text}", 100)
    yield Call("page: engine", "/engine", 100)
    yield Call("page: engine, a day", "/engine?span=day", 100)
    yield Call("page: message", f"/inbox/{world.ids['message']}", 100)
    yield from _search_pages()
    yield from _sorting_pages(world)
    yield from _library_pages(world)
    for name in ("", "/addresses", "/members", "/keys", "/you"):
        yield Call(f"page: settings{name}", f"/settings{name}", 100)
    yield from _questions(page, world)


def _search_pages() -> Iterator[Call]:
    """What most are called, what few are, two words of which one is common, an address, an email's subject, nothing."""
    typed = ("a", "an", "zebulon", "ana mar", "ana ortiz", "reader77", "letter", "tag 1", "xyz", "Ｌｕｋａｓｚ")
    for text in typed:
        yield Call(f"page: search, {text}", f"/search?q={text}", 100)


def _forecast_pages(world: World) -> Iterator[Call]:
    """The page is there at once; its parts come after it, since they read everybody inside."""
    yield Call("page: forecast", "/forecast", 100)
    yield Call("page: forecast, calendar", "/forecast/calendar", 1000)
    yield Call("page: forecast, not counted", "/forecast/uncounted", 1000)
    for days in (0, 1, 12):
        day = (world.now + timedelta(days=days)).date().isoformat()  # the account's zone is UTC
        yield Call(f"page: forecast, day {days}", f"/forecast/{day}", 1000)
    url = f"/forecast/{day}/emails/{world.ids['waited_for']}"
    yield Call("page: forecast, who gets an email", url, 100)
    yield Call("page: forecast, who gets an email, list", f"{url}?all=yes", 1000)
    yield Call("page: forecast, who gets an email, middle", f"{url}?all=yes&after={world.ids['place']}", 1000)


def _people_pages(world: World, url: str) -> Iterator[Call]:
    for status in ("active", "unconfirmed", "completed", "removed"):
        yield Call(f"page: people of a sequence, {status}", f"{url}?status={status}", 100)
    yield Call("page: people of a sequence, older", f"{url}?before={world.ids['place']}", 100)
    for email, who in (("waited_for", "most"), ("rarely_waited_for", "few")):
        waiting = f"{url}?waiting={world.ids[email]}"
        yield Call(f"page: people waiting for an email, {who}", waiting, 100)
        yield Call(f"page: people waiting for an email, {who}, older", f"{waiting}&before={world.ids['place']}", 100)
        yield Call(f"page: people waiting for an email, {who}, last", f"{waiting}&before={world.ids['old_place']}", 100)
        yield Call(f"page: people waiting for an email, {who}, newer", f"{waiting}&after={world.ids['place']}", 100)


def _lists_of_people(world: World) -> Iterator[Call]:
    """With filters that few, many and nobody meet: the first page, one in the middle, the count after the page. What
    has to look at everybody to find fifty is not in the page but after it, as a part of it."""
    name, after = "page: people", 5_000
    yield Call(name, "/people", 100)
    yield Call(f"{name}, older", f"/people?before={world.ids['person']}", 100)
    for state in ("active", "inactive", "bounced"):
        yield Call(f"{name}, {state}", f"/people?state={state}", 100)
        yield Call(f"{name}, {state}, last", f"/people?state={state}&after=0", 100)
    for typed in ("r", "reader7", "nobody"):
        yield Call(f"{name}, typed {typed}", f"/people?q={typed}", 100)
    yield Call("page: a new person of the account", "/people/new", 100)
    yield Call("page: export of people", "/people/export", 100)
    for who, condition in _filters(world).items():
        query = urlencode({"filter": json.dumps(condition)})
        yield Call(f"{name} who {who}", f"/people?{query}", 100)
        yield Call(f"{name} who {who}, older", f"/people?{query}&before={world.ids['person']}", 100)
        yield Call(f"{name} who {who}, state and typed", f"/people?{query}&state=active&q=reader1", 100)
        yield Call(f"{name} who {who}, after the page", f"/people?{query}&long=1", after)
        yield Call(f"{name} who {who}, counted", f"/people/count?{query}", after)
    query = urlencode({"filter": json.dumps(_filters(world)["have a tag of few"]), "at": "top"})
    yield Call("page: a blank of a filter", f"/people?{query}", 100)


def _filters(world: World) -> dict[str, dict[str, Any]]:
    sequence, field = world.sequence.pk, world.ids["field"]
    tag, small_tag = ({"type": "tags", "ids": [world.ids[name]]} for name in ("tag", "small_tag"))
    waiting = {"type": "sequences", "ids": [sequence], "place": "inside"}
    value = {"type": "custom_field", "subscriber_custom_field_id": field, "comparison": "is"}
    address = {"type": "email_address", "comparison": "contains"}
    return {
        "have a tag of most": tag,
        "have a tag of few": small_tag,
        "have not the tag of most": {"not": tag},
        "have the tag of no person": {"type": "tags", "ids": [world.ids["no_tag"]]},
        "are inside": waiting,
        "wait for what few wait for": waiting | {"waiting_for": [world.ids["rarely_waited_for"]]},
        "signed up and did not confirm": {
            "all": [{"type": "forms", "ids": [world.ids["form"]]}, {"type": "subscriber_state", "states": ["inactive"]}]
        },
        "have a value": value | {"value": "Łódź"},
        "have a value that nobody has": value | {"value": "Lima"},
        "have an address with a word": address | {"value": "7@example"},
        "have an address as nobody has": address | {"value": "nowhere"},
        "came this week": {"type": "subscribed", "within_days": 7},
        "have a tag or are inside": {"any": [small_tag, waiting | {"waiting_for": [world.ids["rarely_waited_for"]]}]},
    }


def _person_pages(world: World) -> Iterator[Call]:
    for who in ("person", "busy"):
        url, name = f"/people/{world.ids[who]}", f"page: a {who if who == 'person' else 'busy person'}"
        yield Call(name, url, 100)
        yield Call(f"{name}, mail", f"{url}/mails", 100)
        yield Call(f"{name}, mail, last", f"{url}/mails?after=0", 100)
        yield Call(f"{name}, history", f"{url}/history", 100)
        yield Call(f"{name}, details", f"{url}/details", 100)
        yield Call(f"{name}, add to", f"{url}/entry", 100)
    buyer = f"/people/{world.ids['buyer']}"
    yield Call("page: who buys much", buyer, 100)
    yield Call("page: who buys much, purchases", f"{buyer}/purchases", 100)
    yield Call("page: a person, location", f"{buyer}/location", 100)
    yield Call("page: a person's way", f"/enrollments/{world.ids['place']}", 100)
    yield Call(
        "question: skip somebody's email", f"/enrollments/{world.ids['place_inside']}/skipping", 150, is_act=True
    )


def _editor_pages(world: World, url: str) -> Iterator[Call]:
    yield Call("page: an email", url, 100)
    yield Call("page: an email, as somebody", f"{url}?as={world.ids['person']}", 100)
    yield Call("page: preview of an email", f"{url}/preview", 100)
    yield Call("page: preview of an email, its HTML", f"{url}/preview/body", 100)
    yield Call("page: people of a preview", f"{url}/preview/people", 100)
    for typed in ("r", "reader7", "nobody"):
        yield Call(f"page: people of a preview, {typed}", f"{url}/preview/people?q={typed}", 100)
    yield Call("page: checks of an email", f"{url}/checks", 100)
    yield Call("page: versions of an email", f"{url}/versions", 100)
    yield Call("page: an old version of an email", f"{url}/versions?right=7", 100)


def _sorting_pages(world: World) -> Iterator[Call]:
    """What people are sorted by, and come in by."""
    for noun, name in (("tag", "tag"), ("field", "field"), ("form", "form")):
        yield Call(f"page: {noun}s", f"/{noun}s", 100)
        yield Call(f"page: a {noun}", f"/{noun}s/{world.ids[name]}", 100)
        if noun != "form":
            yield Call(f"page: deleting a {noun}", f"/{noun}s/{world.ids[name]}/deletion", 10_000)
    yield Call("page: a form, where from", f"/forms/{world.ids['form']}/sources", 1000)
    yield Call("page: people of a field, counted", f"/fields/{world.ids['field']}/count", 5000)
    yield Call("page: segments", "/segments", 100)
    yield Call("page: a new segment", "/segments/new", 100)


def _library_pages(world: World) -> Iterator[Call]:
    for noun in ("snippet", "template", "image"):
        yield Call(f"page: {noun}s", f"/{noun}s", 100)
        for which in ("", "rare_"):
            url = f"/{noun}s/{world.ids[f'{which}{noun}']}"
            yield Call(f"page: a {which.replace('_', ' ')}{noun}", url, 100)
        yield Call(f"page: deleting a {noun}", f"/{noun}s/{world.ids[f'{noun}']}/deletion", 100)
    yield Call("page: snippets, searched", "/snippets?q=19", 100)
    for noun in ("snippet", "template"):
        yield Call(f"page: a new {noun}", f"/{noun}s/new", 100)
        yield Call(f"page: versions of a {noun}", f"/{noun}s/{world.ids[noun]}/versions", 100)


def _questions(page: str, world: World) -> Iterator[Call]:
    """Whom an act would touch: everybody inside is asked about. Not for the eye of somebody who only looks."""
    email, draft = f"{page}/emails/{world.ids['email']}", f"{page}/emails/{world.ids['draft']}"
    yield Call("question: publish before everybody", f"{draft}/publication", 10_000, is_act=True)
    yield Call("question: skip the wait", f"{page}/emails/{world.ids['waited_for']}/skipping", 10_000, is_act=True)
    yield Call("question: delete an email", f"{email}/deletion", 10_000, is_act=True)
    yield Call("question: reschedule", f"{page}/rescheduling", 10_000, is_act=True)


if __name__ == "__main__":
    main()
