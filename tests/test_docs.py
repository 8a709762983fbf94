"""Documentation that fails the build: every setting, command and metric is described, and nothing else is."""

import re
from pathlib import Path

import pytest
import typer.main

from dripstone import settings
from dripstone.engine import reasons
from dripstone.engine.transitions import DELIVERY_MOVES, SIGN_UP_MOVES
from dripstone.ops import cli
from dripstone.triggers import reasons as triggers
from dripstone.triggers import what, when

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def rows(page: str) -> set[str]:
    """The first code span of each table row."""
    return set(re.findall(r"^\| `([^`]+)`", (REFERENCE / page).read_text(), re.MULTILINE))


def commands() -> dict[str, set[str]]:
    """Every command with its visible options and arguments: {"keys create": {"--account", …}}."""
    found: dict[str, set[str]] = {}

    def walk(group: object, words: list[str]) -> None:
        for name, command in getattr(group, "commands", {}).items():
            if getattr(command, "commands", None):
                walk(command, [*words, name])
            else:
                found[" ".join([*words, name])] = {max(p.opts, key=len) for p in command.params if p.name != "help"}

    walk(typer.main.get_command(cli.app), [])
    return found


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    assert rows("settings.md") == settings._known


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str) -> None:
    assert any(row.split(" [")[0].split(" --")[0].removeprefix("dripstone ").startswith(command)
               for row in rows("commands.md")), command  # fmt: skip


def test_every_documented_command_exists() -> None:
    documented = {row.removeprefix("dripstone ") for row in rows("commands.md") if row.startswith("dripstone ")}
    for row in documented:
        assert any(row.startswith(command) for command in commands()), row


def test_every_documented_option_exists() -> None:
    for row in rows("commands.md"):
        words = row.removeprefix("dripstone ")
        command = next((name for name in commands() if words.startswith(name)), None)
        if command is None:
            continue
        for option in re.findall(r"--[a-z-]+", words):
            assert option.replace("--no-", "--") in commands()[command] or option in commands()[command], row


def test_every_reason_is_documented_and_nothing_else_is() -> None:
    assert rows("reasons.md") == {*reasons.WORDS, *reasons.FORMS}


def test_every_trigger_and_action_is_documented_and_nothing_else_is() -> None:
    assert rows("triggers.md") == {*when.KINDS, *what.KINDS, *triggers.WORDS}


def test_every_script_is_documented() -> None:
    shell = {path for path in (ROOT / "script").iterdir() if path.is_file() and not path.suffix}
    documented = {row.split(" ")[0] for row in rows("commands.md") if row.startswith("script/")}
    assert {f"script/{path.name}" for path in shell} == documented


def test_every_metric_is_documented() -> None:
    source = (ROOT / "dripstone" / "ops" / "metrics.py").read_text()
    page = (REFERENCE / "commands.md").read_text()
    for name in set(re.findall(r'"(dripstone_[a-z_]+)"', source)):
        assert f"`{name}" in page, name


LEVELS = {name: name for name in ("debug", "info", "warning", "error")} | {"exception": "error"}


def logged() -> set[tuple[str, str]]:
    """(level, event) of every log call. An event is a fixed name, never a sentence made up on the spot."""
    found = set()
    for module in (ROOT / "dripstone").rglob("*.py"):
        for level, name in re.findall(r"\blog(?:ger)?\.(\w+)\(\s*([^,)]+)", module.read_text()):
            if level in LEVELS:
                assert re.fullmatch('"[a-z_]+"', name), f"{module.relative_to(ROOT)} logs {name}"
                found.add((LEVELS[level], name.strip('"')))
    return found


def test_every_log_event_is_documented_with_its_level_and_nothing_else_is() -> None:
    page = (
        (ROOT / "docs" / "operations" / "watching.md").read_text().split("## Events in the logs")[1].split("\n## ")[0]
    )
    rows = re.findall(r"^\| (`.+?`) \| (\w+) \|", page, re.MULTILINE)
    assert {(level, name) for names, level in rows for name in re.findall("`([a-z_]+)`", names)} == logged()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        if not page.exists():
            continue
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_decision_is_in_the_index_once() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", (folder / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.md") if path.name != "index.md")


def test_every_rule_is_described_once() -> None:
    described = re.findall(r"^\*\*R(\d+) ", (REFERENCE / "rules.md").read_text(), re.MULTILINE)
    assert sorted(map(int, described)) == [*range(1, 23)]


def test_every_rule_of_an_automation_is_described_once() -> None:
    described = re.findall(r"^\*\*A(\d+) ", (REFERENCE / "automation-rules.md").read_text(), re.MULTILINE)
    assert sorted(map(int, described)) == [*range(1, 19)]


def test_the_life_of_an_email_has_every_move_of_a_delivery_and_no_other() -> None:
    page = (REFERENCE / "life-of-an-email.md").read_text().split("## A delivery")[1].split("\n## ")[0]
    described: dict[str, set[str]] = {}
    for left, right in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `(\w+)` \|", page, re.MULTILINE):
        for source in re.findall(r"\w+", left):
            described.setdefault(source, set()).add(right)
    assert described == {source: set(targets) for source, targets in DELIVERY_MOVES.items() if targets}


def test_the_code_points_at_pages_that_exist() -> None:
    for module in (ROOT / "dripstone").rglob("*.py"):
        for target in re.findall(r"docs/[a-z-]+/[a-z-]+\.md", module.read_text()):
            assert (ROOT / target).exists(), f"{module.relative_to(ROOT)} points at {target}"


def test_every_page_is_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    reached, waiting = set(), [docs / "index.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md" or not page.is_relative_to(docs):
            continue
        reached.add(page)
        waiting += [page.parent / target for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())]
    missing = {path.resolve() for path in docs.rglob("*.md")} - reached
    assert not missing, sorted(path.name for path in missing)


def test_the_life_of_a_sign_up_has_every_move_and_no_other() -> None:
    page = (REFERENCE / "life-of-a-sign-up.md").read_text()
    described: dict[str, set[str]] = {}
    for left, right in re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE):
        described.setdefault(left, set()).add(right)
    assert described == {left: set(moves) for left, moves in SIGN_UP_MOVES.items() if moves}
