"""Where our description of /v4 says something else than Kit's contract: all is in differences.toml, with its reason.

A difference that is new fails here, and so does one that has gone and is still listed.
"""

import re
import tomllib
from pathlib import Path

import pytest
from django.test import Client

from tests.api.routes import ROUTES
from tests.kit import comparing, contract

LISTED = Path(__file__).with_name("differences.toml")


@pytest.fixture(scope="module")
def found() -> list[str]:
    contract.skip_if_absent()
    return comparing.differences(Client().get("/v4/openapi.json").json(), contract.document())


@pytest.fixture(scope="module")
def listed() -> list[re.Pattern[str]]:
    """A `*` stands for anything. Lines of operations that are not served are passed over."""
    groups = tomllib.loads(LISTED.read_text())["difference"]
    assert all(group["because"].strip() for group in groups)
    served = {str(route) for route in ROUTES}
    lines = [line for group in groups for line in group["lines"]]
    named = {line: " ".join(line.split(" ")[:2]) for line in lines}
    assert {name for name in named.values() if "*" not in name} <= set(contract.operations())
    lines = [line for line in lines if "*" in named[line] or named[line] in served]
    return [re.compile(".*".join(map(re.escape, line.split("*")))) for line in lines]


def test_each_difference_has_a_reason(found: list[str], listed: list[re.Pattern[str]]) -> None:
    unlisted = [line for line in found if not any(one.fullmatch(line) for one in listed)]
    assert not unlisted, "\n" + "\n".join(f'    "{line}",' for line in unlisted)


def test_each_has_only_one(found: list[str], listed: list[re.Pattern[str]]) -> None:
    twice = [line for line in found if sum(bool(one.fullmatch(line)) for one in listed) > 1]
    assert not twice


def test_a_difference_that_has_gone_is_no_longer_listed(found: list[str], listed: list[re.Pattern[str]]) -> None:
    gone = [one.pattern for one in listed if not any(one.fullmatch(line) for line in found)]
    assert not gone
