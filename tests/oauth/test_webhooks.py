"""What an app makes is its own: other apps do not find it, and an API key may look at it and not change it."""

from typing import Any

from django.test import Client

from dripstone.accounts.models import Account
from tests.api.caller import Caller
from tests.factories import make_key
from tests.oauth.flow import App, call

BODY = {"url": "https://hooks.example.com/", "events": ["subscriber.created"]}


def test_an_endpoint_belongs_to_the_app_that_made_it(account: Account, app: App, native: App, browser: Client) -> None:
    own, other = (one.tokens(browser, account)["access_token"] for one in (app, native))
    made: Any = call(own, "post", "/v4/webhook_endpoints", BODY).json()["webhook_endpoint"]
    assert (made["source"], made["created_by_app"]) == ("app", app.row.name)
    path = f"/v4/webhook_endpoints/{made['id']}"
    for method, address in (("get", path), ("patch", path), ("delete", path), ("post", f"{path}/rotate_secret")):
        assert call(other, method, address, None if method == "get" else {}).status_code == 404
    assert call(other, "get", "/v4/webhook_endpoints").json()["webhook_endpoints"] == []
    key = Caller(account, make_key(account)[1])
    assert key.get(path)[0] == 200
    for method in ("PATCH", "DELETE"):
        assert key.send(method, path, {})[0] == 403
    assert key.post(f"{path}/rotate_secret")[0] == 403
    assert call(own, "patch", path, {"name": "Mine"}).json()["webhook_endpoint"]["name"] == "Mine"
    assert call(own, "delete", path).status_code == 204


def test_what_no_app_made_is_there_for_all(account: Account, app: App, browser: Client) -> None:
    key = Caller(account, make_key(account)[1])
    made = key.post("/v4/webhook_endpoints", BODY)[1]["webhook_endpoint"]
    token = app.tokens(browser, account)["access_token"]
    assert call(token, "get", f"/v4/webhook_endpoints/{made['id']}").status_code == 200


def test_a_webhook_of_before_is_hidden_from_other_apps(
    account: Account, app: App, native: App, browser: Client
) -> None:
    own, other = (one.tokens(browser, account)["access_token"] for one in (app, native))
    body = {"target_url": "https://hooks.example.com/", "event": {"name": "subscriber.subscriber_activate"}}
    made = call(own, "post", "/v4/webhooks", body).json()["webhook"]
    assert call(other, "get", "/v4/webhooks").json()["webhooks"] == []
    assert call(other, "delete", f"/v4/webhooks/{made['id']}").status_code == 404
    assert call(own, "delete", f"/v4/webhooks/{made['id']}").status_code == 204
