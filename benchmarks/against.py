"""Does a change make sending or planning dearer? CPU per message, before and after, in one run.

Each round runs the benchmarks of both trees: of COMMIT, in a git worktree in a temporary folder, and of this one. Which
goes first changes from round to round, so that a machine that gets slower or faster meanwhile is unfair to neither.
Each tree is measured by its own benchmarks, with this tree's Python: when the change you ask about also changes
benchmarks/ or the locked requirements, the ratio contains that too.

    python -m benchmarks.against [COMMIT] [send] [plan] [--rounds 7] [--small] [--json FILE]
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import common

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """What is run, and which CPU figures of its JSON are read, in µs per message; they add up."""

    arguments: tuple[str, ...]
    small: tuple[str, ...]
    columns: tuple[str, ...]  # those of our processes first, then PostgreSQL's (0 with a DATABASE_URL)


BENCHMARKS = {
    "send": Measured(("--workers", "2", "--messages", "20000"), ("--small",), ("workers", "PostgreSQL")),
    # --small is about how many wait: with 20,000 due, its 10,000 and 50,000 are enough to see what a row costs.
    "plan": Measured(("--small", "--due", "20000"), ("--small",), ("Python µs per row", "PostgreSQL µs")),
}

# What is measured (benchmark, row of its table, whose CPU) → µs per message, one per round.
Samples = dict[tuple[str, str, str], list[float]]


def main() -> None:
    parser = common.arguments("CPU per message of this tree and of a commit before, in turn.")
    parser.add_argument("commit", nargs="?", default="HEAD", help="to compare with (default HEAD: what is uncommitted)")
    parser.add_argument("benchmarks", nargs="*", metavar="benchmark", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--rounds", type=int, help="default 7; 1 with --small")
    options = parser.parse_args()
    names = options.benchmarks or (["plan"] if options.small else list(BENCHMARKS))
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"{', '.join(sorted(unknown))} cannot be compared, only {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the worktree goes
    report = common.Report("against")
    with worktree(options.commit) as before:
        trees = {"before": before, "now": ROOT}
        samples = measure(trees, names, options.rounds or (1 if options.small else 7), is_small=options.small)
    rows = [row(key, samples) for key in keys(samples)]
    report.table(f"CPU per message, µs: {git('log', '-1', '--format=%h', options.commit)} and this tree", rows)
    report.save(options.json)


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The files of `commit` in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="dripstone-before-") as folder:
        path = Path(folder) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


def git(*arguments: str) -> str:
    if shutil.which("git") is None:
        sys.exit("This needs git, to get the files of the other commit.")
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return done.stdout.strip()


# --- Measuring --------------------------------------------------------------------------------------------------


def measure(trees: dict[str, Path], names: list[str], n_rounds: int, *, is_small: bool) -> dict[str, Samples]:
    """Samples of each tree, `before` and `now`."""
    samples: dict[str, Samples] = {which: {} for which in trees}
    for number in range(n_rounds):
        for name in names:
            for which in sorted(trees, reverse=number % 2 == 1):
                common.out.print(f"round {number + 1} of {n_rounds}: {name} {which} …", style="dim")
                for key, value in figures(trees[which], name, is_small=is_small).items():
                    samples[which].setdefault(key, []).append(value)
    return samples


def figures(tree: Path, name: str, *, is_small: bool) -> dict[tuple[str, str, str], float]:
    """Runs a tree's benchmark and reads its CPU per message, µs: ours, PostgreSQL's, and both together."""
    measured = BENCHMARKS[name]
    found: dict[tuple[str, str, str], float] = {}
    for line in run(tree, name, measured.small if is_small else measured.arguments):
        if set(measured.columns) <= set(line):
            ours, server = (float(line[column]) for column in measured.columns)
            of = str(next(iter(line.values())))
            found |= {(name, of, "ours"): ours, (name, of, "PostgreSQL"): server, (name, of, "both"): ours + server}
    assert found, f"benchmarks/{name} of {tree} has no columns {measured.columns}"
    return found


def run(tree: Path, name: str, arguments: tuple[str, ...]) -> list[dict[str, float | str]]:
    """The lines of all tables of `python -m benchmarks.NAME`, run in `tree`."""
    with tempfile.TemporaryDirectory(prefix="dripstone-figures-") as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json", str(path)]
        environment = os.environ | {"PYTHONPATH": str(tree)}  # before the package that this Python has installed
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with common.stopping([process]):
            said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{' '.join(command)} in {tree} ended with {process.returncode}:\n{said}")
        return [line for table in json.loads(path.read_text())["tables"].values() for line in table]


# --- The table --------------------------------------------------------------------------------------------------


def keys(samples: dict[str, Samples]) -> list[tuple[str, str, str]]:
    """What both trees measure, in the order of the benchmarks. PostgreSQL's CPU is 0 when it runs elsewhere."""
    return [key for key in samples["now"] if any(samples["before"].get(key, ()))]


def row(key: tuple[str, str, str], samples: dict[str, Samples]) -> common.Figures:
    """Medians over the rounds; a spread is from the lowest to the highest, as a share of the median."""
    before, now = samples["before"][key], samples["now"][key]
    ratios = [after / base for base, after in zip(before, now, strict=True) if base]
    benchmark, run_name, whose = key
    return {
        "benchmark": benchmark,
        "run": f"{int(run_name):,} waiting" if run_name.isdigit() else run_name,
        "CPU of": whose,
        "before": statistics.median(before),
        "spread %": spread(before),
        "now": statistics.median(now),
        "spread now %": spread(now),
        "now / before": f"{statistics.median(now) / statistics.median(before):.3f}",
        "of the rounds": f"{min(ratios):.3f} to {max(ratios):.3f}",
    }


def spread(values: list[float]) -> float:
    return 100 * (max(values) - min(values)) / statistics.median(values)


if __name__ == "__main__":
    main()
