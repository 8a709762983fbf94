"""Backup and restore with the commands that docs/operations/backup.md tells, on real embedded databases."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "operations" / "backup.md"


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="dripstone-test-", dir="/tmp") as name:
        yield Path(name)


def commands(heading: str) -> list[str]:
    """The lines of the first block of commands under a heading, without comments."""
    block = PAGE.read_text().split(f"## {heading}")[1].split("```sh")[1].split("```")[0]
    return [line.split("  #")[0].strip() for line in block.strip().splitlines()]


def shell(command: str, data: Path, where: Path) -> str:
    environment = {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}", "DRIPSTONE_DATA": str(data)}
    done = subprocess.run(
        ["sh", "-c", command], env=environment, cwd=where, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_comes_back_on_another_machine(folder: Path) -> None:
    old, new = folder / "old", folder / "new"
    shell("dripstone migrate", old, folder)
    made = json.loads(shell("dripstone accounts create --name Alice --email a@example.com --json", old, folder))
    for line in commands("Back up"):
        shell(line, old, folder)
    (new / "flights").mkdir(parents=True)
    (new / "flights" / "host-1-abc.flightlog").write_text("old")
    *restore, up = commands("Restore")
    assert up == "dripstone up"
    for line in restore:
        shell(line, new, folder)
    keys = json.loads(shell("dripstone keys list --json", new, folder))["keys"]
    assert [key["account_id"] for key in keys] == [made["account_id"]]
    assert (new / "secret_key").read_text() == (old / "secret_key").read_text()
    assert not (new / "flights").exists()
    assert re.search(r"ok +schema", shell("dripstone doctor || true", new, folder))


def test_a_program_that_is_not_there_is_named(folder: Path) -> None:
    said = shell("dripstone with-database no-such-program 2>&1 || true", folder / "data", folder)
    assert "There is no program no-such-program on this machine." in said
