"""What rots silently (read with `ast`): import direction, one clock, one place for state, a pure schedule."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dripstone"

# A part imports only from parts left of itself, and from its own. Names at the same place do not import each other.
# Those that do not exist yet have their place already.
DIRECTION = [
    {"errors"},
    {"embedded", "postgresql", "words"},
    {"settings"},
    {"clock", "signing", "given", "outbound"},
    {"grammar"},
    {"accounts"},
    {"oauth"},
    {"senders"},
    {"events", "calls"},
    {"tallies"},
    {"subscribers"},
    {"purchases"},
    {"content"},
    {"images"},
    {"tracking"},
    {"sequences", "broadcasts"},
    {"conditions"},
    {"engine"},
    {"feedback"},
    {"stats"},
    {"uses"},
    {"triggers"},
    {"rules"},
    {"automations"},
    {"foresight"},
    {"explain"},
    {"shapes"},
    {"webhooks"},
    {"bulk"},
    {"imports"},
    {"leap"},
    {"api", "web", "ops"},
    {"front"},
    {"urls", "asgi", "__main__"},
]
PLACE = {name: index for index, names in enumerate(DIRECTION) for name in names}

# Calls that ask the machine for the time of day. time.monotonic and perf_counter measure durations and are fine.
CLOCK_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns",
               "timezone.now", "timezone.localtime", "timezone.localdate"}  # fmt: skip
CLOCK_FILES = {"clock.py"}

# Where `now` begins, beside api, web and ops: nobody above could hand it in.
CLOCK_EDGES = {
    "engine/tasks.py",
    "oauth/server.py",  # called by a library
    "automations/tasks.py",
    "webhooks/tasks.py",
    "bulk/tasks.py",
    "imports/tasks.py",
    "engine/virtual.py",  # moves the virtual clock
    "senders/inbox.py",  # stands in for a mail server, which stamps what it takes with its own time
}

# Who may write the state of a subscriber, an enrollment or a delivery. Single rows go through transitions.py; sets go
# through the hot SQL of queries.py, which the numbered files call.
STATE_FILES = {"engine/transitions.py", "engine/queries.py"}
STATE_FIELDS = {"status", "state"}
STATE_MODELS = {"Subscriber", "Enrollment", "Delivery"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


@cache
def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part(path: Path) -> str:
    """accounts/verbs.py → accounts; clock.py → clock."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def imported(path: Path) -> Iterator[str]:
    """Dotted names of every import, also those inside functions and under TYPE_CHECKING."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.expr) -> str:
    """`datetime.datetime.now` → "datetime.now": the last two names."""
    if isinstance(node, ast.Attribute):
        owner = node.value
        left = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else "?"
        return f"{left}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_it_imports_only_from_its_left(path: Path) -> None:
    mine = part(path)
    if mine == "__init__":
        return
    for name in imported(path):
        if not name.startswith("dripstone."):
            continue
        other = name.split(".")[1]
        if other not in PLACE or other == mine:
            continue  # dripstone.__version__ and the like
        assert PLACE[other] < PLACE[mine], f"{relative(path)} imports {name}: {other} is not left of {mine}"


def module(path: Path) -> str:
    """engine/acts/edits.py → dripstone.engine.acts.edits; a package goes by its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_import_goes_in_a_circle() -> None:
    """Between files, inside folders too; an import inside a function is one."""
    known = {module(path) for path in modules()}
    imports = {
        module(path): {_owner(name, known) for name in imported(path)} - {"", module(path)} for path in modules()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]))


def _owner(name: str, known: set[str]) -> str:
    """The file behind `dripstone.clock.now`; "" when it is none of ours."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def test_every_part_has_its_place() -> None:
    assert {part(path) for path in modules()} - {"__init__"} <= set(PLACE)


def test_schedule_is_pure() -> None:
    """Standard library only, and nothing of it that reads the world: a function of its arguments."""
    impure = {"os", "sys", "time", "random", "secrets", "socket", "subprocess", "logging", "pathlib"}
    for name in imported(PACKAGE / "engine" / "schedule.py"):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names, f"schedule.py imports {name}"
        assert top not in impure, f"schedule.py imports {name}"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_only_the_clock_asks_for_the_time(path: Path) -> None:
    if relative(path) in CLOCK_FILES:
        return
    for node in nodes(path):
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in CLOCK_CALLS, f"{relative(path)}:{node.lineno} {dotted(node.func)}"
            assert dotted(node.func) != "functions.Now", f"{relative(path)}:{node.lineno} asks the database"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_only_commands_views_and_tasks_call_the_clock(path: Path) -> None:
    """Domain functions take `now` as an argument."""
    is_edge = part(path) in {"api", "web", "ops", "clock"} or relative(path) in CLOCK_EDGES
    found = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    calls = [node.lineno for node in found if dotted(node.func) == "clock.now"]
    assert is_edge or not calls, f"{relative(path)}:{calls}"


# The line, in reading order: each file imports only those before it. Whoever is not in it (queries, counters, …) is
# ground that all of them stand on, and imports nothing of it.
LINE = ["enroll", "plan", "plan_broadcast", "claim", "letters", "slow", "render", "hold_back", "send", "record",
        "rescue", "life", "virtual", "tasks"]  # fmt: skip


@pytest.mark.parametrize("path", sorted((PACKAGE / "engine").glob("*.py")), ids=relative)
def test_the_line_is_a_line(path: Path) -> None:
    before = LINE[: LINE.index(path.stem)] if path.stem in LINE else []
    for name in imported(path):
        match name.split("."):
            case ["dripstone", "engine", other, *_] if other in LINE:
                assert other in before, f"{relative(path)} imports {other}, which does not come before it"


# Calls that write rows, and statements that do: not where somebody only looks, be it ahead or back. That
# foresight/impact.py has a verb carried out is seen by neither: it is rolled back at once.
READERS = [path for path in modules() if part(path) in {"foresight", "explain"}]
WRITING_CALL = re.compile(r"save|delete|(\w+_)?create|update(_or_create)?|bulk_\w+")
WRITING_SQL = re.compile(r"\b(INSERT|DELETE|(?<!FOR )(?<!FOR NO KEY )UPDATE)\b")


@pytest.mark.parametrize("path", READERS, ids=relative)
def test_foresight_and_explanation_only_read(path: Path) -> None:
    for node in nodes(path):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Call(func=ast.Attribute(attr=name)):
                assert not WRITING_CALL.fullmatch(name), f"{where} calls {name}"
            case ast.Constant(value=str(text)):
                assert not WRITING_SQL.search(text), f"{where} writes in SQL"


# An edit that goes past the door leaves people behind. Whatever answers an Edit is a writing verb.
FILES_OF_VERBS = [PACKAGE / name / file for name in ("sequences", "broadcasts") for file in ("verbs.py", "drafts.py")]
VERBS = [path for path in FILES_OF_VERBS if path.exists()]
DOORS = {"engine/acts/edits.py", "foresight/impact.py"} | {relative(path) for path in VERBS}


def test_edits_go_through_their_door() -> None:
    writing = {f"{module(path)}.{name}" for path in VERBS for name in _answering(path, "Edit")}
    assert writing
    for path in modules():
        found = writing & set(_used(path))
        assert not found or relative(path) in DOORS, f"{relative(path)} uses {found}, not engine/acts/edits.py"


def _answering(path: Path, kind: str) -> Iterator[str]:
    """Names of functions by what they return."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == kind:
            yield node.name


def _used(path: Path) -> Iterator[str]:
    """Dotted names of what is imported, and of what is taken from an imported module."""
    names: dict[str, str] = {}
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    yield from names.values()
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield f"{names[node.value.id]}.{node.attr}"


# Where reasons are defined. Everywhere else they are constants of these files, never text.
REASON_FILES = {"calls/reasons.py", "engine/reasons.py", "senders/reasons.py"}
REASON_NAMES = {"reason", "removed_reason"}


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_reasons_are_constants(path: Path) -> None:
    """No text is given as a reason, assigned to one, compared with one or looked for in one. "" is none."""
    if relative(path) in REASON_FILES:
        return
    for node in nodes(path):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        for value in _given_as_reason(node):
            assert not _is_text(value), f"{where}: {ast.unparse(value)} is given as a reason"


def _given_as_reason(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.keyword(arg=str(name), value=value) if name.partition("__")[0] in REASON_NAMES:
            yield value
        case ast.Assign(targets=targets, value=value) if any(_is_reason(target) for target in targets):
            yield value
        case ast.Dict(keys=keys, values=values):
            yield from (value for key, value in zip(keys, values, strict=True) if _is_key_of_reason(key))
        case ast.Compare(left=left, comparators=others) if any(_is_reason(side) for side in [left, *others]):
            yield from (left, *others)
        case ast.Call(func=ast.Attribute(value=owner), args=args) if _is_reason(owner):
            yield from args


def _is_reason(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in REASON_NAMES


def _is_key_of_reason(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and key.value in REASON_NAMES


def _is_text(value: ast.expr) -> bool:
    """Written out, or made up on the spot, here or in a collection."""
    match value:
        case ast.Constant(value=str(text)):
            return bool(text.strip())
        case ast.JoinedStr():
            return True
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(map(_is_text, parts))
    return False


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_only_transitions_write_a_state(path: Path) -> None:
    """No `x.status = …`, no `.update(status=…)` on these models, no SQL that sets them, anywhere else."""
    if relative(path) in STATE_FILES:
        return
    for node in nodes(path):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        for target in _targets(node):
            assert target.attr not in STATE_FIELDS or _is_self(target), f"{where} assigns {ast.unparse(target)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
            written = {keyword.arg for keyword in node.keywords} & STATE_FIELDS
            assert not (written and STATE_MODELS & _names(node.func)), f"{where} updates {written}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not _sets_state(node.value), f"{where} sets a state in SQL"


def _targets(node: ast.AST) -> Iterator[ast.Attribute]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    yield from (target for target in found if isinstance(target, ast.Attribute))


def _is_self(target: ast.Attribute) -> bool:
    return isinstance(target.value, ast.Name) and target.value.id == "self"


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _sets_state(text: str) -> bool:
    words = text.replace("=", " = ").split()
    tables = {"engine_delivery", "engine_enrollment", "subscribers_subscriber"}
    is_update = "UPDATE" in words and tables & set(words)
    return bool(is_update) and any(f in words and words[words.index(f) + 1 :][:1] == ["="] for f in STATE_FIELDS)
