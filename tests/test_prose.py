"""Docstrings of the packages start plainly: ruff's D401 wants a verb in a function's, this test bans question words."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [path for name in ("hybridner", "hybridner_flax", "hybridner_torch") for path in (ROOT / name).rglob("*.py")]
BANNED = ("What", "Whether", "Where", "How", "Who")


def starts_badly(source):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    texts = [text for node in nodes if (text := ast.get_docstring(node))]
    return [text.split("\n")[0] for text in texts if text.split()[0].rstrip(",:") in BANNED]


def test_no_docstring_starts_with_a_question_word():
    found = {str(path): bad for path in SOURCES if (bad := starts_badly(path.read_text(encoding="utf-8")))}
    assert found == {}


def test_a_docstring_that_starts_with_one_is_seen():
    assert starts_badly('def f():\n    """Whether it holds."""') == ["Whether it holds."]
