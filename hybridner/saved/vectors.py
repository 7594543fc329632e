"""The frozen vectors of a saved model: all words of the user's file, in half precision, memory-mapped when opened."""

from pathlib import Path

import numpy as np

from hybridner.errors import InputError
from hybridner.files.tensors import Headers, TensorHeader, map_tensors, write_streamed
from hybridner.text.vectors import WordIndex, WordVectors


def save_vectors(path: Path, vectors: WordVectors) -> None:
    """Write vectors and their words.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = vectors.index._asdict()
    headers = {name: TensorHeader(value.shape, value.dtype.name) for name, value in arrays.items()}
    headers["vectors"] = TensorHeader((len(vectors), vectors.size), "float16")
    by_width = dict(sorted(headers.items(), key=lambda item: -np.dtype(item[1].dtype).itemsize))
    write_streamed(path, by_width, {**{name: [value] for name, value in arrays.items()}, "vectors": vectors.chunks()})


def open_vectors(path: Path) -> WordVectors:
    """Map the vectors that :func:`save_vectors` wrote.

    Raises:
        InputError: the file cannot be read, or contains something else.
    """

    def check(headers: Headers) -> None:
        shapes = {name: header.shape for name, header in headers.items()}
        number, size = shapes["vectors"] if len(shapes.get("vectors", ())) == 2 else (0, 0)
        words = shapes.get("hashes", ())
        expected = {
            "vectors": ((number, size), "float16"),
            "text": (shapes.get("text", ())[:1], "uint8"),
            "ends": ((number,), "int64"),
            "hashes": (words[:1], "uint64"),
            "rows": (words[:1], "int32"),
        }
        if headers != expected or any(0 in shape or not shape for shape in shapes.values()):
            raise InputError(f"{path}: not the vectors of a model; copy the file again from its source")

    arrays, starts = map_tensors(path, check)
    index = WordIndex(*(arrays[name] for name in WordIndex._fields))
    number, size = arrays["vectors"].shape
    if not 0 <= int(index.rows.min()) <= int(index.rows.max()) < number:
        raise InputError(f"{path}: damaged (a word has no row); copy the file again from its source")
    return WordVectors(path.open("rb"), np.dtype("<f2"), starts["vectors"], number, size, index, str(path))
