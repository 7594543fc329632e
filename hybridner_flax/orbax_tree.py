"""Nested dicts of arrays as Orbax checkpoints, written and read by one process alone, however many there are."""

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import jax
import orbax.checkpoint as ocp
import tensorstore as ts

from hybridner.errors import InputError, first_line
from hybridner.files.tensors import TensorHeader
from hybridner_flax.canonical import Tree, TreeHeaders

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax reports each save there, and what it raises as well


def write_tree(folder: Path, tree: Tree) -> None:
    """Write ``tree`` as an Orbax checkpoint.

    Its bytes are the arrays' own: weights hardly get smaller by packing, and it would take the processor from training.
    """
    with _one_report(), _alone(ocp.PyTreeCheckpointHandler, use_compression=False) as checkpointer:
        checkpointer.save(folder.absolute(), args=ocp.args.PyTreeSave(tree))


def read_tree(folder: Path, check: Callable[[TreeHeaders], None]) -> Tree:
    """What :func:`write_tree` wrote, or Orbax's ``StandardCheckpointer``, each array in the type it has there.

    Only the arrays are read, each by TensorStore alone. The JSON beside them, in which Orbax says how to restore them,
    decides nothing: a stranger may have written it.

    Args:
        folder: the checkpoint.
        check: is called with the shape and type of the array at each path and raises if they are not what is expected;
            only then are the values read.

    Raises:
        InputError: it cannot be read, or ``check`` raised it.
    """
    try:
        if not (folder / "manifest.ocdbt").is_file():
            raise FileNotFoundError("it holds no manifest.ocdbt")
        arrays = dict(_arrays(folder))
        check({path: TensorHeader(array.shape, array.dtype.name) for path, array in arrays.items()})
        tree: Tree = {}
        for (*parents, leaf), array in arrays.items():
            node = tree
            for name in parents:
                node = node.setdefault(name, {})
            node[leaf] = array.read().result()
        return tree
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}: not an Orbax checkpoint that can be read ({first_line(error)})") from error


def _arrays(folder: Path) -> Iterator[tuple[tuple[str, ...], ts.TensorStore]]:
    """Each array of an Orbax tree with its path, opened and not read.

    Raises:
        OSError, ValueError: one cannot be opened, or its ``.zarray`` says that a part of it, which would be read into
            memory as a whole, is larger than the array.
    """
    base = {"driver": "file", "path": f"{folder.absolute()}/"}
    store = ts.KvStore.open({"driver": "ocdbt", "base": base}).result()
    for name in sorted({key.decode().rpartition("/")[0] for key in store.list().result()}):
        spec = {
            "driver": "zarr",
            "kvstore": {"driver": "ocdbt", "base": base, "path": f"{name}/"},
            "fill_missing_data_reads": False,  # by default what is missing is zero
        }
        array = ts.open(spec, open=True, read=True).result()
        part = array.chunk_layout.read_chunk.shape
        if any(size is None or size > max(length, 1) for size, length in zip(part or (), array.shape, strict=True)):
            raise ValueError(f"{name} has parts of {part}, larger than its shape {array.shape}")
        yield tuple(name.split(".")), array


class _MainThreadOnly(io.TextIOBase):
    """A stream to which the main thread alone writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        is_main = threading.current_thread() is threading.main_thread()
        return self._stream.write(text) if is_main else len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextmanager
def _one_report() -> Iterator[None]:
    """Let the first write that fails speak for all: the others find their event loop closed, and print a page each.

    They may do so after the block, so that after a failure other threads stay silent.
    """
    before = sys.stderr
    sys.stderr = silent = _MainThreadOnly(before)
    yield
    if sys.stderr is silent:
        sys.stderr = before


@contextmanager
def _alone(handler: Any, **options: Any) -> Iterator[ocp.Checkpointer]:
    """A checkpointer that does not wait for the other processes."""
    me = jax.process_index()
    only = ocp.options.MultiprocessingOptions(me, {me}, f"process {me}")
    with ocp.Checkpointer(
        handler(multiprocessing_options=only, **options), multiprocessing_options=only
    ) as checkpointer:
        yield checkpointer
