"""Imports in ``hybridner/`` point down only: read from the code, function bodies and ``TYPE_CHECKING`` included."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "hybridner"
FLOORS = (
    ("errors", "version"),
    ("files", "display"),
    ("config",),
    ("text",),
    ("corpora",),
    ("batches",),
    ("model",),
    ("saved",),
    ("runs",),
    ("tagging",),
    ("evaluation", "export", "serve"),
    ("training",),
    ("parity",),
    ("__init__", "cli"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Return the modules of ``hybridner`` that a file imports, anywhere in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hybridner":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room(module: str) -> str:
    return f"{module}.__init__".split(".")[1]


def upward(modules: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} imports {other}"
        for module, others in modules.items()
        for other in sorted(others)
        if room(module) != room(other) and FLOOR[room(module)] <= FLOOR[room(other)]
    ]


IMPORTS = {module: set(imported(path)) - {module} for module, path in MODULES.items()}


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} <= FLOOR.keys()


def test_no_import_points_up():
    assert upward(IMPORTS) == []


def test_no_imports_form_a_cycle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_an_import_that_points_up_is_seen():
    assert upward({"hybridner.files.hub": {"hybridner.training.loop"}}) == [
        "hybridner.files.hub imports hybridner.training.loop"
    ]


def test_at_most_four_files_lie_outside_the_rooms():
    assert len(list(PACKAGE.glob("*.py"))) <= 4
