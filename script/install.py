"""Installs the pinned dependencies into .venv. Standard library only: it runs before anything is there.

Called by script/setup with the clone's folder and "run" or "dev". A stamp in .venv says what was installed, so that
the next run does nothing.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}

# PATH-independent, and not confused by a folder named dripstone where it is called (-P).
LAUNCHER = """#!/bin/sh
exec "$(dirname -- "$0")/python" -P -m dripstone "$@"
"""


def main(root: Path, kind: str) -> int:
    venv = root / ".venv"
    with (root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # script/server and script/test may start together on a fresh clone
        if is_done(root, venv, kind):
            return 0
        if not works(venv) and not make_environment(venv):
            return 1
        (venv / "dripstone-stamp").unlink(missing_ok=True)
        if not install(venv, root / LOCKS[kind]):
            return 1
        link(root, venv)
        (venv / "dripstone-stamp").write_text(stamp(root, kind))
    return 0


def is_done(root: Path, venv: Path, kind: str) -> bool:
    """Whether the stamp is of these lock files. What "dev" installed serves "run" as well."""
    try:
        found = (venv / "dripstone-stamp").read_text()
    except OSError:
        return False
    return found in (stamp(root, kind), stamp(root, "dev")) and works(venv)


def stamp(root: Path, kind: str) -> str:
    contents = b"".join((root / name).read_bytes() for name in [*LOCKS.values(), "script/install.py"])
    version = ".".join(map(str, sys.version_info[:2]))
    return f"{kind} {version} {root} {hashlib.sha256(contents).hexdigest()}\n"


def works(venv: Path) -> bool:
    """Whether there is an environment of this Python's version. Asking its files, not it: this runs at every start."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return (venv / "bin" / "python").exists() and (venv / "lib" / version / "site-packages").is_dir()


def make_environment(venv: Path) -> bool:
    say(f"Making an environment in {venv} (Python {sys.version.split()[0]})")
    shutil.rmtree(venv, ignore_errors=True)
    if run([sys.executable, "-m", "venv", str(venv)], quiet=True):
        return True
    shutil.rmtree(venv, ignore_errors=True)
    uv = shutil.which("uv")
    if uv and run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)]):
        return True
    say(
        "Python's venv module does not work here. Install it (Debian, Ubuntu: apt install python3-venv), or install uv."
    )
    return False


def install(venv: Path, lock: Path) -> bool:
    """With uv when it is there (and the system's certificates), else with pip; always with hashes."""
    python, uv = str(venv / "bin" / "python"), shutil.which("uv")
    if uv:
        say(f"Installing {lock.name} with uv")
        if run([uv, "pip", "install", "--require-hashes", "--python", python, "-r", str(lock)]):
            return True
        say("uv could not install everything; trying pip")
    say(f"Installing {lock.name} with pip (this takes a minute)")
    if run_pip(python, lock, venv / "install.log"):
        return True
    say("The dependencies could not be installed; the lines above say why. Check the network, then run it again.")
    return False


def run_pip(python: str, lock: Path, log_path: Path) -> bool:
    """pip says ten lines per package; we say how far it is, and keep its words for when it fails."""
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--require-hashes", "--no-deps"]
    command = [python, "-m", "pip", "install", *options, "-r", str(lock)]
    n_packages = sum("==" in line for line in lock.read_text().splitlines())
    n_found = 0
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as pip,
    ):
        for line in pip.stdout or ():
            log.write(line)
            if line.startswith(("Collecting", "Processing", "Requirement already")):
                n_found += 1
                progress(f"  {n_found} of {n_packages} packages")
    progress("")
    if pip.returncode != 0:
        say("\n".join(log_path.read_text().splitlines()[-15:]))
    return pip.returncode == 0


def progress(text: str) -> None:
    """One line that is overwritten, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{text:<40}\r", end="", file=sys.stderr, flush=True)  # noqa: T201


def link(root: Path, venv: Path) -> None:
    """Makes `import dripstone` and the dripstone command work from here, without building a package."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (venv / "lib" / version / "site-packages" / "dripstone.pth").write_text(f"{root}\n")
    launcher = venv / "bin" / "dripstone"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


def run(command: list[str], *, quiet: bool = False) -> bool:
    # Both names of uv's switch for the system's certificates; an older uv knows only the second.
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    output = subprocess.DEVNULL if quiet else sys.stderr
    try:
        return subprocess.run(command, check=False, env=environment, stdout=output, stderr=output).returncode == 0
    except OSError as error:
        say(f"{command[0]}: {error.strerror}")
        return False


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
