"""A predictor run over many sentences: every word's logits or tag, with host and device at work together."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from hybridner.batches.batch import Batch, inference_batches
from hybridner.batches.encoding import Encoded, by_sentence
from hybridner.batches.packing import Shape
from hybridner.errors import InputError
from hybridner.model.learner import Predictor
from hybridner.model.memory import IN_PREDICTION, MemoryWatch

_IN_FLIGHT = 3
_BATCHES_BETWEEN = 5
Item = TypeVar("Item")
Result = TypeVar("Result")


def predict_words(
    predictor: Predictor,
    encoded: Encoded,
    pad_token_id: int,
    reduce: Callable[[np.ndarray], np.ndarray] = lambda logits: logits,
    between: Callable[[], None] = lambda: None,
) -> list[np.ndarray]:
    """What the model says of each word, an array a sentence in the order of the split.

    Args:
        predictor: holds the weights.
        encoded: the split.
        pad_token_id: fills the batches.
        reduce: turns a batch's logits ``[rows, length, num_labels]`` into what is kept of each piece.
        between: called every few batches; it may leave by raising.

    Returns:
        Arrays ``[num_words, …]``; a word cut into windows is taken from the one where it has most context.

    Raises:
        InputError: logits that are not finite.
    """
    ((_, words),) = predict_chunks(predictor, [(None, encoded)], pad_token_id, reduce, between)
    return words


def predict_tags(
    predictor: Predictor,
    encoded: Encoded,
    pad_token_id: int,
    labels: Sequence[str],
    between: Callable[[], None] = lambda: None,
) -> list[list[str]]:
    """The most probable tag of each word, each word by itself (the argmax of its logits)."""
    names = np.array(labels, object)
    best = predict_words(predictor, encoded, pad_token_id, lambda logits: logits.argmax(-1).astype(np.int32), between)
    return [names[sentence].tolist() for sentence in best]


def predict_chunks(
    predictor: Predictor,
    chunks: Iterable[tuple[Item, Encoded]],
    pad_token_id: int,
    reduce: Callable[[np.ndarray], np.ndarray] = lambda logits: logits,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, list[np.ndarray]]]:
    """:func:`predict_words` of one chunk after the other, while the device is at work on the next.

    Args:
        predictor: holds the weights.
        chunks: what a chunk goes by, and its sentences; taken as they are needed.
        pad_token_id: fills the batches.
        reduce: as for :func:`predict_words`.
        between: as for :func:`predict_words`.

    Raises:
        InputError: logits that are not finite.
    """

    def steps() -> Iterator[tuple[tuple[Item, Encoded], Batch | None]]:
        for chunk in chunks:
            for batch in inference_batches(
                chunk[1],
                pad_token_id=pad_token_id,
                row_multiple=predictor.row_multiple,
                part=(predictor.rank, predictor.world_size),
            ):
                yield chunk, batch
            yield chunk, None

    found: list[tuple[int, np.ndarray]] = []
    num_batches = 0
    memory = MemoryWatch(IN_PREDICTION)
    for (item, encoded), batch, logits in _overlapped(predictor, steps(), memory):
        if batch is None or logits is None:
            yield item, by_sentence(encoded, found)
            found = []
            continue
        if num_batches % _BATCHES_BETWEEN == 0:
            between()
        num_batches += 1
        if not np.isfinite(logits).all():
            raise InputError("the model gives logits that are not finite: its weights are damaged")
        found += batch.at_words(reduce(logits), encoded)


def one_ahead(prepare: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``prepare`` of each item, in order; a thread is at work on the next one while the last one is used.

    ``items`` are taken in the caller's thread.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1, "hybridner-prepare") as thread:
        for item in items:
            pending.append(thread.submit(prepare, item))
            if len(pending) > 1:
                yield pending.popleft().result()
        for future in pending:
            yield future.result()


def _overlapped(
    predictor: Predictor, steps: Iterable[tuple[Item, Batch | None]], memory: MemoryWatch
) -> Iterator[tuple[Item, Batch | None, np.ndarray | None]]:
    """The logits of each batch, while the device computes those of the next few and the host prepares another."""
    pending: deque[tuple[Item, Batch | None, Callable[[], np.ndarray] | None]] = deque()
    started: set[Shape] = set()

    def oldest() -> tuple[Item, Batch | None, np.ndarray | None]:
        item, batch, logits = pending.popleft()
        with memory:
            return item, batch, logits() if logits else None

    with ThreadPoolExecutor(predictor.num_lanes, "hybridner-predict") as lanes:
        for item, batch in steps:
            logits = None
            if batch is not None:
                memory.note(batch.shape)
                with memory:
                    logits = _start(predictor, batch, lanes if batch.shape in started else None)
                started.add(batch.shape)
            pending.append((item, batch, logits))
            if len(pending) > _IN_FLIGHT:
                yield oldest()
        while pending:
            yield oldest()


def _start(predictor: Predictor, batch: Batch, lanes: ThreadPoolExecutor | None) -> Callable[[], np.ndarray]:
    """Begin to compute the logits of ``batch``, in a lane if there are any; what is returned waits for them."""
    # Without lanes for the first batch of a shape, which is compiled for: two lanes would both do it.
    if lanes is None or predictor.num_lanes == 1:
        return partial(predictor.gather, predictor.predict(batch))
    return lanes.submit(lambda: predictor.gather(predictor.predict(batch))).result
