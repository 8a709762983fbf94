"""Environments for programs whose dependencies do not fit ours."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

UNREACHED = ("NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "NameResolutionError", "ProxyError")


def made(folder: Path, lock: Path) -> Path:
    """The Python of a new environment with what the lock file names, by hash. Skips where PyPI cannot be reached."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
    done = subprocess.run([*install, "-r", str(lock)], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and any(name in done.stderr for name in UNREACHED):
        pytest.skip("PyPI cannot be reached")
    assert done.returncode == 0, done.stderr
    return python


def run(python: Path | str, *arguments: str, folder: Path, **variables: str) -> str:
    """What a program prints."""
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env={"PATH": str(Path(sys.executable).parent), "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
