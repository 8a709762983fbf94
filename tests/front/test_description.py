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

import pytest

from tests.front.served import Web, account_key, serving
from tests.kit import contract

CONFIG = Path(__file__).with_name("schemathesis.toml")
KITS_CONFIG = CONFIG.with_name("schemathesis-kit.toml")
SECONDS = 20  # for each description


@pytest.fixture(scope="module")
def rehearsing(fresh_database: str) -> Iterator[Web]:
    """Its clock is virtual, so that all calls can be made."""
    with serving(fresh_database, account_key(fresh_database, "made-up"), DRIPSTONE_VIRTUAL_CLOCK="1") as web:
        yield web


@pytest.mark.slow
@pytest.mark.parametrize("api", ["v4", "ext/v1"])
def test_every_operation_does_what_its_description_says(rehearsing: Web, api: str, tmp_path: Path) -> None:
    call_everything(rehearsing, CONFIG, f"http://127.0.0.1:{rehearsing.port}/{api}/openapi.json", tmp_path)


@pytest.mark.slow
def test_every_operation_does_what_kits_contract_says(rehearsing: Web, tmp_path: Path) -> None:
    contract.skip_if_absent()
    path = tmp_path / "kit.json"
    path.write_text(json.dumps(contract.of_a_client()))
    call_everything(rehearsing, KITS_CONFIG, str(path), tmp_path, "--url", f"http://127.0.0.1:{rehearsing.port}")


def call_everything(web: Web, config: Path, description: str, tmp_path: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "--no-color", "run"]
    command += [description, *arguments, "--max-time", str(SECONDS)]
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
