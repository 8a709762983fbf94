"""How long does each list and count of the API take at 100,000 people and at a million, and does it grow?

Every list with each of its filters, sorts and includes, among the people of _million.py.

    python -m benchmarks.lists [--small] [--people N,N] [--only WORD] [--json FILE]
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from benchmarks._million import YEARS_2, Call, World, compare


def main() -> None:
    compare("lists", __doc__.partition("\n")[0], calls)


def calls(world: World) -> Iterator[Call]:
    sequence, tag, form = world.sequence.pk, world.ids["tag"], world.ids["form"]
    middle = (world.now - YEARS_2 / 2).strftime("%Y-%m-%dT%H:%M:%SZ")
    recent = (world.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = (world.now - YEARS_2 * 0.98).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield from _subscribers(middle, recent, old)
    yield from _filtered(world)
    yield from _people_of(f"/v4/tags/{tag}/subscribers", "tag's people", "tagged", middle, recent, old)
    yield from _people_of(f"/v4/forms/{form}/subscribers", "form's people", "added", middle, recent, old)
    yield from _people_of(f"/v4/sequences/{sequence}/subscribers", "sequence's people", "added", middle, recent, old)
    yield Call("few people's tag", f"/v4/tags/{world.ids['small_tag']}/subscribers")
    for noun, counted in (("tags", True), ("forms", True), ("segments", False), ("custom_fields", False),
                          ("email_templates", False), ("snippets", False)):  # fmt: skip
        yield Call(noun, f"/v4/{noun}?include_total_count=true")
        if counted:
            yield Call(f"{noun}, subscriber_count", f"/v4/{noun}?include=subscriber_count")
    yield Call("purchases", "/v4/purchases")
    yield Call("purchases, total", "/v4/purchases?include_total_count=true&per_page=50", 300)
    yield Call("a purchase", f"/v4/purchases/{world.ids['purchase']}")
    yield Call("products", "/ext/v1/products?include_total_count=true")
    yield Call("a person", f"/v4/subscribers/{world.ids['person']}")
    yield Call("a person's tags", f"/v4/subscribers/{world.ids['person']}/tags?include_total_count=true")
    yield Call("sequences", "/v4/sequences?include_total_count=true")
    yield Call("sequences, stats", "/v4/sequences?include=stats")
    yield Call("a sequence", f"/v4/sequences/{sequence}")
    yield Call("a sequence, stats", f"/v4/sequences/{sequence}?include=stats")
    yield Call("emails", f"/v4/sequences/{sequence}/emails?include_total_count=true")
    yield Call("emails, stats", f"/v4/sequences/{sequence}/emails?include=stats")
    yield Call("an email, stats", f"/v4/sequences/{sequence}/emails/{world.ids['email']}?include=stats")
    yield from _of_the_engine(world)
    yield Call("inbox by API", "/ext/v1/inbox")
    yield Call("inbox by API, to", "/ext/v1/inbox?to=reader7@example.org")


def _subscribers(middle: str, recent: str, old: str) -> Iterator[Call]:
    url = "/v4/subscribers"
    yield Call("people", url)
    yield Call("people, 50", f"{url}?per_page=50")
    yield Call("people, slim", f"{url}?slim=true")
    yield Call("people, total", f"{url}?include_total_count=true&per_page=50")
    yield Call("people, status=all, total", f"{url}?status=all&include_total_count=true&per_page=50")
    for status in ("all", "inactive", "bounced", "complained", "cancelled"):
        yield Call(f"people, status={status}", f"{url}?status={status}")
    for column in ("created", "updated"):
        for edge, instant in (("after", middle), ("after", recent), ("before", middle), ("before", old)):
            when = {middle: "middle", recent: "recent", old: "old"}[instant]
            yield Call(f"people, {column}_{edge} {when}", f"{url}?{column}_{edge}={instant}")
        yield Call(f"people, status=all, {column}_before middle", f"{url}?status=all&{column}_before={middle}")
        yield Call(f"people, status=bounced, {column}_before middle", f"{url}?status=bounced&{column}_before={middle}")
    yield Call(
        "people, created_before, total", f"{url}?created_before={middle}&include_total_count=true&per_page=50", 300
    )
    for field in ("created_at", "updated_at"):
        for order in ("asc", "desc"):
            yield Call(f"people, by {field} {order}", f"{url}?sort_field={field}&sort_order={order}")
        yield Call(f"people, status=all, by {field}", f"{url}?status=all&sort_field={field}")
        yield Call(f"people, status=bounced, by {field}", f"{url}?status=bounced&sort_field={field}")
    yield Call("people, by cancelled_at", f"{url}?status=cancelled&sort_field=cancelled_at")
    yield Call("people, by engagement__sent", f"{url}?sort_field=engagement__sent", 300)
    yield Call("people, by engagement__opens", f"{url}?sort_field=engagement__opens")
    yield Call("people, address", f"{url}?email_address=reader7@example.org")
    yield Call("people, include all", f"{url}?include=attribution,tags,location&per_page=50")


def _filtered(world: World) -> Iterator[Call]:
    def call(name: str, *conditions: dict[str, Any], limit: int = 50, **members: Any) -> Call:
        body = json.dumps({"all": conditions, **members})
        return Call(f"filter, {name}", "/v4/subscribers/filter", limit, body=body)

    def tagged(name: str) -> dict[str, Any]:
        return {"type": "tags", "any": [{"type": "ids", "matching": [world.ids[name]]}]}

    recent = (world.now - timedelta(days=30)).date().isoformat()
    form = {"type": "forms", "ids": [world.ids["form"]]}
    field = {"type": "custom_field", "subscriber_custom_field_id": world.ids["field"], "comparison": "is"}
    yield call("everybody")
    yield call("everybody, total", include_total_count=True, per_page=50)
    for sort_field in ("id", "first_name", "email_address"):
        yield call(f"by {sort_field}", sort_field=sort_field)
        yield call(f"few people's tag, by {sort_field}", tagged("small_tag"), sort_field=sort_field, limit=100)
    yield call("by engagement__sent", sort_field="engagement__sent", limit=300)
    yield call("a tag", tagged("tag"))
    yield call("a tag, total", tagged("tag"), include_total_count=True, per_page=50, limit=1000)
    yield call("few people's tag", tagged("small_tag"), limit=100)
    yield call("nobody's tag", tagged("no_tag"))
    yield call("states", {"type": "subscriber_state", "states": ["bounced", "complained"]})
    yield call("subscribed", {"type": "subscribed", "after": recent})
    yield call("a form first", {"type": "attribution", "any": [form]}, limit=100)
    yield call("a field", {**field, "value": "Łódź"})
    yield call("sent lately", {"type": "sent", "after": recent}, limit=300)
    yield call("sent twice lately", {"type": "sent", "after": recent, "count_greater_than": 1}, limit=300)
    yield call("sent twice", {"type": "sent", "count_greater_than": 1}, limit=3000)
    names = ("attribution", "tags", "location", "canceled_at", "stats", "custom_fields")
    yield call("include all", include=[{"type": name} for name in names], per_page=50)


def _people_of(url: str, name: str, column: str, middle: str, recent: str, old: str) -> Iterator[Call]:
    yield Call(name, url)
    yield Call(f"{name}, total", f"{url}?include_total_count=true&per_page=50")
    yield Call(f"{name}, status=all, total", f"{url}?status=all&include_total_count=true&per_page=50")
    for status in ("all", "inactive", "bounced", "cancelled"):
        yield Call(f"{name}, status={status}", f"{url}?status={status}")
    yield Call(f"{name}, {column}_after recent", f"{url}?{column}_after={recent}")
    yield Call(f"{name}, {column}_before middle", f"{url}?{column}_before={middle}")
    yield Call(f"{name}, {column}_before old", f"{url}?{column}_before={old}")
    yield Call(f"{name}, created_after recent", f"{url}?created_after={recent}")
    yield Call(f"{name}, created_before middle", f"{url}?created_before={middle}")
    yield Call(f"{name}, created_before old", f"{url}?created_before={old}")
    yield Call(
        f"{name}, {column}_before, total", f"{url}?{column}_before={middle}&include_total_count=true&per_page=50", 300
    )


def _of_the_engine(world: World) -> Iterator[Call]:
    sequence, person = world.sequence.pk, world.ids["person"]
    for noun in ("enrollments", "deliveries"):
        url = f"/ext/v1/{noun}"
        yield Call(noun, url)
        yield Call(f"{noun}, total", f"{url}?include_total_count=true&per_page=50")
        yield Call(f"{noun}, sequence", f"{url}?sequence_id={sequence}")
        yield Call(f"{noun}, small sequence", f"{url}?sequence_id={world.ids['small_sequence']}")
        yield Call(f"{noun}, person", f"{url}?subscriber_id={person}")
    for status in ("unconfirmed", "active", "completed", "removed"):
        yield Call(f"enrollments, {status}", f"/ext/v1/enrollments?status={status}")
        yield Call(f"enrollments, sequence, {status}", f"/ext/v1/enrollments?sequence_id={sequence}&status={status}")
    for status in ("planned", "sending", "sent", "skipped", "failed", "unknown"):
        yield Call(f"deliveries, {status}", f"/ext/v1/deliveries?status={status}")
    yield Call("deliveries, first email", f"/ext/v1/deliveries?email_id={world.ids['email']}")
    yield Call("deliveries, first email, failed", f"/ext/v1/deliveries?email_id={world.ids['email']}&status=failed")
    yield Call("a person's notes", f"/ext/v1/enrollments/{world.ids['place']}/notes")
    yield Call("a person's journey", f"/ext/v1/enrollments/{world.ids['place']}/journey", 100)
    yield Call("a sequence's forecast", f"/ext/v1/sequences/{sequence}/forecast", 300)
    yield Call("the account's forecast", "/ext/v1/forecast", 300)
    yield Call("a sequence's report", f"/ext/v1/sequences/{sequence}/report")
    yield Call("a sequence's health", f"/ext/v1/sequences/{sequence}/health", 300)


if __name__ == "__main__":
    main()
