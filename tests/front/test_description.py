"""A client made from our own description of the API gets what it says: made-up calls of every operation.

`schemathesis.toml` beside this file lists what is meant to differ, and why.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dripstone.api import repeats
from tests.front.served import Web, account_key, serving
from tests.kit import contract

CONFIG = Path(__file__).with_name("schemathesis.toml")
KITS_CONFIG = CONFIG.with_name("schemathesis-kit.toml")
SECONDS = 15  # for each description


@pytest.fixture(scope="module")
def rehearsing(fresh_database: str) -> Iterator[Web]:
    """Its clock is virtual, so that all calls can be made."""
    with serving(fresh_database, account_key(fresh_database, "made-up"), DRIPSTONE_VIRTUAL_CLOCK="1") as web:
        yield web


@pytest.mark.slow
@pytest.mark.parametrize("api", ["v4", "ext/v1"])
def test_every_operation_does_what_its_description_says(rehearsing: Web, api: str, tmp_path: Path) -> None:
    call_everything(rehearsing, CONFIG, without_keys(rehearsing.ask("GET", f"/{api}/openapi.json").json), tmp_path)


@pytest.mark.slow
def test_every_operation_does_what_kits_contract_says(rehearsing: Web, tmp_path: Path) -> None:
    contract.skip_if_absent()
    call_everything(rehearsing, KITS_CONFIG, contract.of_a_client(), tmp_path)


def without_keys(description: Any) -> Any:
    """A made-up Idempotency-Key is soon one of an earlier call with another body, which is 422, as it should be."""
    for calls in description["paths"].values():
        for call in calls.values():
            call["parameters"] = [one for one in call.get("parameters", ()) if one["name"] != repeats.HEADER]
    return description


def call_everything(web: Web, config: Path, description: Any, tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(description))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "--no-color", "run"]
    command += [str(path), "--url", f"http://127.0.0.1:{web.port}", "--max-time", str(SECONDS)]
    command += ["--header", f"X-Kit-Api-Key: {web.key}"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    n_calls = re.search(r"(\d+) generated", done.stdout)
    assert n_calls is not None and int(n_calls[1]) > 50
