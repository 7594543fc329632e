"""Damage to PyTorch's archives and the pickles in them."""

import io
import warnings
import zipfile
from random import Random


def change_archive(content: bytes, rng: Random) -> bytes:
    """Change one member of an archive and correct its checksums.

    Raises:
        BadZipFile, LookupError, ValueError: the archive is too damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()[:64]]
    at = rng.randrange(len(members))
    if rng.random() < 0.6:  # the pickle, which describes the others
        at = next((i for i, (name, _) in enumerate(members) if name.endswith("data.pkl")), at)
    name, data = members[at]
    what = rng.random()
    if what < 0.1:
        del members[at]
    elif what < 0.15:
        members.append((name, data[: rng.randrange(len(data) + 1)]))
    elif what < 0.25:
        members[at] = (rng.choice(("../x", "data.pkl", "archive/data/9", name.upper(), "")), data)
    else:
        members[at] = (name, _pickle(data, rng) if name.endswith(".pkl") else _cut(data, rng))
    out = io.BytesIO()
    with (
        zipfile.ZipFile(
            out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        ) as archive,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # two members of one name are intended
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _cut(data: bytes, rng: Random) -> bytes:
    return rng.choice((data[: rng.randrange(len(data) + 1)], data * 2, b"", rng.randbytes(16) + data))


def _pickle(data: bytes, rng: Random) -> bytes:
    """Change an opcode, a number, a name or a range of a pickle."""
    what = rng.random()
    start = rng.randrange(len(data) + 1)
    if what < 0.3:  # small numbers: shapes, strides, offsets, sizes
        at = [i for i, byte in enumerate(data[:-1]) if byte in b"KMJ"]
        start = rng.choice(at)
        number = rng.choice(
            (
                b"K\x00",
                b"K\xff",
                b"M\xff\xff",
                b"J\xff\xff\xff\x7f",
                b"J\xff\xff\xff\xff",
                b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
            )
        )
        return data[:start] + number + data[start + {75: 2, 77: 3, 74: 5}[data[start]] :]
    if what < 0.5:
        names = (
            b"FloatStorage",
            b"HalfStorage",
            b"DoubleStorage",
            b"LongStorage",
            b"BoolStorage",
            b"QInt8Storage",
            b"UntypedStorage",
        )
        old = rng.choice([name for name in names if name in data])
        return data.replace(
            old, rng.choice((*names, b"Tensor", b"Size", b"device", b"BFloat16Storage", b"ComplexFloatStorage")), 1
        )
    if what < 0.6:
        old, new = rng.sample(
            (b"_rebuild_tensor_v2", b"_rebuild_parameter", b"_rebuild_sparse_tensor", b"_rebuild_qtensor"), 2
        )
        return data.replace(old, new)
    if what < 0.8:
        return (
            data[:start]
            + bytes([rng.choice(b"0123(.)]}tuseaRbQqhrj\x81\x85\x86\x87\x88\x89N")])
            + data[start + rng.randrange(2) :]
        )
    stop = min(len(data), start + rng.randint(1, 40))
    return data[:start] + data[start:stop] * rng.choice((0, 2, 2000)) + data[stop:]
