"""Damage that keeps a file well-formed: to a value of JSON, TOML or YAML, a header, a member of an archive."""

import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hardening.fuzz.archives import change_archive

_MARK = "\ue000"
# Literals that Python's own writer would refuse or write differently.
_RAW = (
    "1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "1" + "0" * 30, "-0", "0.0", "1e-400",
    "[" * 900 + "]" * 900, "[" * 400 + "]" * 400, '{"a":' * 300 + "1" + "}" * 300,
    '{"a": 1, "a": 2}', '"\\ud800"', '"\\u0000"',
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        8,
        24,
        255,
        2**31 - 1,
        2**31,
        2**32,
        2**53 + 1,
        2**63 - 1,
        2**63,
        2**64,
        10**30,
    ),
    *(
        0.5,
        -0.5,
        1e308,
        "",
        " ",
        "O",
        "B-PER",
        "I-LOC",
        "\n",
        "\x1b[31m",
        "\u2028",
        "\ufeff",
        "a" * 20_000,
        "[UNK]",
        "[PAD]",
    ),
    *(
        "float32",
        "F64",
        "BF16",
        "I64",
        "<f4",
        ">f8",
        "|b1",
        "<U9",
        "|O",
        "/etc/hostname",
        "../x",
        "file:///etc/hostname",
        "…",
    ),
    *(
        [],
        {},
        [[]],
        [0],
        [-1],
        [2**40],
        [2**31, 2**31],
        [0, 0],
        [1, 2, 3],
        ["a"],
        {"": 0},
        {"a": {}},
        [None],
        ["O", "B-X", "I-X"],
    ),
)
_LITERALS = (
    *(
        "1",
        "-1",
        "0",
        "1.5",
        "1e999",
        "-inf",
        "nan",
        "true",
        "null",
        "[]",
        "{}",
        '"x"',
        "'x'",
        "x",
        "",
        "[1, 2]",
        "{a = 1}",
    ),
    *(
        "{a: 1}",
        "1979-05-27",
        "07:32:00",
        "2001-12-14t21:59:43.10-05:00",
        "0x10",
        "0o17",
        "0b1",
        "1_000",
        "1__0",
        "9" * 5000,
    ),
    *(
        "1" + "0" * 30,
        '"' + "a" * 50_000 + '"',
        "[" * 400 + "]" * 400,
        "[" * 5000,
        "{a = " * 400 + "1" + "}" * 400,
        '"\\u0000"',
    ),
    *(
        '"\\ud800"',
        '"a\\nb"',
        "*a",
        "&a [*a]",
        "!!python/object/apply:os.system [ls]",
        "!!binary x",
        "!!set {a, b}",
        "!!omap [a]",
    ),
    *(
        "!!int x",
        "!!float x",
        "!!timestamp x",
        "!!null x",
        "!!bool x",
        "? [a]",
        "|\n  x",
        ">\n  x",
        "4e3",
        "1:30",
        "=",
        "<<",
        "~",
    ),
)
_ASSIGNMENT = re.compile(rb"^([ \t]*[\w.\"'-]+[ \t]*[=:])([^\n]*)", re.MULTILINE)


def structural(name: str, content: bytes, rng: Random) -> bytes | None:
    """Change one value in a file; return None if the format is unknown or the file too damaged."""
    kind = _form(name, content)
    if kind is None:
        return None
    try:
        return kind(content, rng)
    except (ValueError, RecursionError, LookupError, struct.error, zipfile.BadZipFile, NotImplementedError, OSError):
        return None


def _form(name: str, content: bytes) -> Callable[[bytes, Random], bytes] | None:
    suffix = name.rpartition(".")[2].lower()
    if suffix in ("toml", "yaml", "yml"):
        return _assignments
    if suffix == "jsonl":
        return _json_line
    if suffix == "safetensors":
        return _safetensors
    if content[:2] == b"PK":
        return change_archive
    if content.lstrip()[:1] in (b"{", b"["):
        return _json
    return None


def _json(content: bytes, rng: Random) -> bytes:
    value = change_json(json.loads(content), rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 2)))
    marked = _MARK if _MARK in text else json.dumps(_MARK)[1:-1]
    return re.sub(f'"{re.escape(marked)}(\\d+)"', lambda found: _RAW[int(found[1])], text).encode(
        errors="surrogatepass"
    )


def _json_line(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _json(lines[at], rng).replace(b"\n", b" ")
    return b"\n".join(lines)


def change_json(value: Any, rng: Random) -> Any:
    """Change one place in ``value`` itself and return it."""
    places = list(_places(value))
    if not places or rng.random() < 0.02:
        return _new(value, rng)
    # A vocabulary must not hide its neighbours.
    by_depth: dict[int, list[tuple[Any, Any]]] = {}
    for container, key, depth in places:
        by_depth.setdefault(depth, []).append((container, key))
    container, key = rng.choice(by_depth[rng.choice(list(by_depth))])
    what = rng.random()
    if what < 0.6:
        container[key] = _new(container[key], rng)
    elif what < 0.75:
        del container[key]
    elif what < 0.85:
        other, other_key, _ = rng.choice(places)
        container[key] = json.loads(json.dumps(other[other_key]))
    elif isinstance(container, dict):
        container[rng.choice(("", "a", "type", "id", "words", f"{key}x", str(key).upper()))] = container.pop(key)
    else:
        container.insert(rng.randrange(len(container) + 1), json.loads(json.dumps(container[key])))
    return value


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any, int]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key, depth
        if depth < 40:
            yield from _places(value[key], depth + 1)


def _new(old: Any, rng: Random) -> Any:
    what = rng.random()
    if type(old) is int and what < 0.4:
        return old + rng.choice((-1, 1, 2, -old, old, 10, 1000, 2**20, 2**31, 2**40))
    if isinstance(old, str) and what < 0.3 and old:
        at = rng.randrange(len(old))
        return old[:at] + rng.choice(("", "x", "\0", "\ud800", "é", old, "\n", ".")) + old[at + rng.randrange(2) :]
    if isinstance(old, list) and what < 0.3:
        return rng.choice((old * 2, old[:-1], [old], old[::-1], [*old, None], old * 1000 if len(old) < 10 else old))
    if what < 0.55:
        return f"{_MARK}{rng.randrange(len(_RAW))}"
    return json.loads(json.dumps(rng.choice(_VALUES)))


def _assignments(content: bytes, rng: Random) -> bytes:
    """Change one value of ``name = value`` or ``name: value``, or add a line."""
    found = list(_ASSIGNMENT.finditer(content))
    one = rng.choice(found)
    value = b" " + rng.choice(_LITERALS).encode()
    what = rng.random()
    if what < 0.7:
        return content[: one.start(2)] + value + content[one.end(2) :]
    if what < 0.85:
        return content[: one.start()] + rng.choice(found)[1] + value + b"\n" + content[one.start() :]
    return content[: one.start()] + rng.choice(_LITERALS).encode() + one[0][len(one[1]) - 1 :] + content[one.end() :]


def _safetensors(content: bytes, rng: Random) -> bytes:
    """Change a header of safetensors and usually correct its length."""
    (size,) = struct.unpack_from("<Q", content)
    header = _json(content[8 : 8 + size], rng)
    if rng.random() < 0.1:
        size = rng.choice((0, 1, size + 1, len(content), 2**31, 2**63 - 1, 2**64 - 1, 100_000_001))
    else:
        size = len(header)
    return struct.pack("<Q", size) + header + content[8 + struct.unpack_from("<Q", content)[0] :]
