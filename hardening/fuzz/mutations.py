"""Damage to the files of a case: to bytes and lines, to repeated parts of a format, and to values in a structure."""

from collections.abc import Callable
from random import Random

from hardening.fuzz.cases import Case, Files
from hardening.fuzz.structures import structural

LARGEST_FILE = 2**20
_INTEGERS = (0, 1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
_DEEP = 100_000
TOKENS: tuple[bytes, ...] = (
    *(
        b"\0",
        b"\xef\xbb\xbf",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b"\t\t",
        b" \t ",
        b"\x0b",
        b"\x1b[2J",
        b"\x7f",
        b"\xff\xfe",
    ),
    *(b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\x8b", b"\xf0\x9f\x91\xa9\xe2\x80\x8d", b"\xef\xbf\xbd"),
    *("\ufdfa".encode(), "İ".encode(), "ŉ".encode(), "e\u0301".encode(), "漢字".encode(), "ก".encode()),
    *(
        b"-DOCSTART-",
        b"-DOCSTART- -X- O O\n\n",
        b"# comment\n",
        b" B-PER\n",
        b"\tI-LOC\n",
        b" S-ORG\n",
        b" U-ORG\n",
        b" L-X\n",
    ),
    *(b" B-\n", b" O\n", b"O", b"B-", b"I-PER", b"E-PER", b"B-PER B-PER"),
    *(
        b"1e999",
        b"NaN",
        b"-1",
        b"-0",
        b"0",
        b"1e-400",
        b"true",
        b"null",
        b"none",
        b"inf",
        b"1" + b"0" * 30,
        b"9" * 5000,
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b"'",
        b":",
        b",",
        b"\\",
        b"\\ud800",
        b"\\u0000",
        b"[[",
        b"]]",
        b"=",
        b"#",
        b".",
        b"..",
        b"/",
    ),
    *(
        b"[" * _DEEP,
        b'{"a":' * _DEEP,
        b"[" * 400 + b"]" * 400,
        b'{"a":' * 400 + b"1" + b"}" * 400,
        b"(" * 3000,
        b"x" * _DEEP,
    ),
    *(
        b"- " * 3000,
        b"a: &a [*a]\n",
        b"a: &a {b: *a}\n",
        b"<<: *a\n",
        b"&a ",
        b"*a",
        b"!!python/object:os.system ls\n",
        b"!!",
    ),
    *(
        b"!!binary x\n",
        b"!!timestamp 1\n",
        b"? ",
        b"|\n",
        b"---\n",
        b"...\n",
        b"%YAML 9.9\n",
        b"0x_",
        b"1:99",
        b"2001-99-99",
        b"= =",
    ),
    *(
        b"a = [1,\n",
        b'"""',
        b"'''",
        b"[a.b]\n",
        b"[[a]]\n",
        b"a.b.c = 1\n",
        b"1979-05-27T07:32:00Z",
        b"cposix\nsystem\n",
        b".",
    ),
    *(
        b"\x80\x02",
        b"\x8a\xff",
        b"(lp0\n",
        b"ctorch\nload\n",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x01\x02",
        b"\x93NUMPY",
    ),
    b"\n".join([b"a: &a0 [x, x]"] + [b"a%d: &a%d [*a%d, *a%d]" % (i, i, i - 1, i - 1) for i in range(1, 40)]) + b"\n",
)


def mutate(case: Case, rng: Random, pool: list[Case]) -> Case:
    """Return a damaged copy of ``case``; ``pool`` has other cases to take pieces from."""
    files = dict(case.files)
    for _ in range(1 + min(int(rng.expovariate(1.2)), 7)):
        if len(files) > 1 and rng.random() < 0.05:
            _mix_up(files, rng)
            continue
        name = rng.choice(list(files))
        content = structural(name, files[name], rng) if rng.random() < 0.5 else None
        if content is None:
            others = [other.files[name] for other in rng.sample(pool, min(4, len(pool))) if name in other.files]
            content = rng.choice(_KINDS)(files[name], rng, others)
        files[name] = content[:LARGEST_FILE]
    return Case(case.kind, files)


def _mix_up(files: Files, rng: Random) -> None:
    """Lose a file, empty it, or swap two."""
    one, other = rng.sample(list(files), 2)
    what = rng.randrange(3)
    if what == 0:
        del files[one]
    elif what == 1:
        files[one] = b""
    else:
        files[one], files[other] = files[other], files[one]


def _span(content: bytes, rng: Random) -> tuple[int, int]:
    """Choose a range of ``content``, usually a short one."""
    longest = max(1, min(len(content), int(2 ** rng.uniform(0, 14))))
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.randint(1, longest))


def _flip_bits(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set_byte(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def _insert(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, 16)) + content[at:]


def _delete(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def _duplicate(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, stop = _span(content, rng)
    times = rng.choice((1, 1, 2, 10, 1000))
    part = content[start:stop]
    return content[:stop] + part * min(times, LARGEST_FILE // (len(part) or 1)) + content[stop:]


def _swap(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(content) + 1) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _truncate(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _splice(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    other = rng.choice(others) if others else content
    start, stop = _span(other, rng)
    first, last = _span(content, rng)
    return content[:first] + other[start:stop] + content[rng.choice((first, last)) :]


def _token(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + rng.choice(TOKENS) + content[rng.choice((start, stop)) :]


def _integer(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(content) + 1)
    value = (rng.choice(_INTEGERS) + rng.choice((0, 0, 1, -1))) % 256**size
    return content[:at] + value.to_bytes(size, rng.choice(("little", "big"))) + content[at + size :]


def _lines(content: bytes, rng: Random, _: list[bytes]) -> bytes:
    """Remove, repeat or exchange lines."""
    lines = content.splitlines(keepends=True) or [b"\n"]
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[one]
    elif what == 1:
        lines.insert(other, lines[one])
    elif what == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        fields = lines[one].split(b" ")
        rng.shuffle(fields)
        lines[one] = b" ".join(fields)
    return b"".join(lines)


_KINDS: tuple[Callable[[bytes, Random, list[bytes]], bytes], ...] = (
    _flip_bits, _set_byte, _insert, _delete, _duplicate, _swap, _truncate, _splice, _token, _token, _integer, _lines,
)  # fmt: skip
