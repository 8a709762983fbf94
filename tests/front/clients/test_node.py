"""Clients of other people in JavaScript: one made from Kit's own description of its API, and MCP's official one."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.front.clients import environments
from tests.front.served import HOST, Web
from tests.kit import contract

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the packages that the lock file names."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no node on this machine")
    made = tmp_path_factory.mktemp("node") / "clients"
    shutil.copytree(HERE, made)
    done = subprocess.run([npm, "ci", "--silent"], cwd=made, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and any(code in done.stderr for code in ("ENOTFOUND", "ETIMEDOUT", "ECONNREFUSED", "EAI_AGAIN")):
        pytest.skip("the registry of npm cannot be reached")
    assert done.returncode == 0, done.stderr
    return made


def run(folder: Path, *arguments: str) -> Any:
    node = shutil.which("node")
    assert node is not None
    return json.loads(environments.run(node, *arguments, folder=folder))


@pytest.mark.slow
def test_a_client_made_from_kits_description_needs_another_base_url_only(web: Web, folder: Path) -> None:
    contract.skip_if_absent()
    told = run(folder, "kit.mjs", str(contract.PATH), f"http://{HOST}:{web.port}", web.key)
    statuses = dict(told["told"])
    assert statuses.pop("GET /v4/subscribers/{id}") == 404
    assert statuses.pop("POST /v4/tags") == 422  # the last of two
    assert set(statuses.values()) <= {200, 201, 204}
    assert told["account"]["name"] == "served"
    assert told["tagged"]["pagination"]["total_count"] == 1
    assert [one["state"] for one in told["left"]["subscribers"]] == ["cancelled"]


@pytest.mark.slow
def test_the_official_client_of_mcp_in_javascript_works(web: Web, folder: Path) -> None:
    told = run(folder, "mcp.mjs", f"http://{HOST}:{web.port}/mcp", web.key)
    assert {"list_tags", "get_journey"} <= set(told["tools"])
    assert told["made"]["structuredContent"]["tag"]["name"] == "From JavaScript"
    assert told["refused"]["isError"]
    assert told["refused"]["content"][0]["text"] == "Name can't be blank"
