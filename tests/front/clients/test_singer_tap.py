"""singer-tap-kit, which copies Kit's data into warehouses, copies ours: only its base URL is another."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.front.clients import environments
from tests.front.served import HOST, Web

HERE = Path(__file__).parent
N_PEOPLE = 501  # it reads 500 at a time


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environments.made(tmp_path_factory.mktemp("singer"), HERE / "singer.lock")


@pytest.mark.slow
def test_it_syncs_everybody(web: Web, python: Path, tmp_path: Path) -> None:
    people = {f"reader{number}@example.org" for number in range(N_PEOPLE)}
    for address in people:
        body = {"email_address": address, "first_name": "Reader"}
        assert web.ask("POST", "/v4/subscribers", body).status == 201
    (tmp_path / "config.json").write_text(json.dumps({"api_key": web.key, "start_date": "2024-01-01T00:00:00Z"}))

    def tap(*arguments: str) -> str:
        url = f"http://{HOST}:{web.port}/v4"
        script = str(HERE / "singer_tap.py")
        return environments.run(
            python, script, "--config", "config.json", *arguments, folder=tmp_path, KIT_BASE_URL=url
        )

    catalog = json.loads(tap("--discover"))
    catalog["streams"] = [one for one in catalog["streams"] if one["stream"] == "subscribers"]
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    messages: list[dict[str, Any]] = [json.loads(line) for line in tap("--catalog", "catalog.json").splitlines()]
    records = [one["record"] for one in messages if one["type"] == "RECORD"]
    assert {one["email_address"] for one in records} >= people
    assert len({one["id"] for one in records}) == len(records)
    assert {"id", "first_name", "email_address", "state", "created_at", "fields"} <= records[0].keys()
