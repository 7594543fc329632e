"""Prediction over many sentences: logits of each word; host and device work at the same time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, count, repeat
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
    predictor: Predictor, encoded: Encoded, pad_token_id: int, between: Callable[[], None] = lambda: None
) -> list[np.ndarray]:
    """Predict each word's logits: one array ``[num_words, num_labels]`` per sentence, in the order of the split.

    Of a sentence cut into windows, each word comes from the window where it has most context. ``between`` is called
    every few batches; it may raise to stop.

    Raises:
        InputError: logits that are not finite.
    """
    return list(chain.from_iterable(predict_parts(predictor, encoded, pad_token_id, between)))


def predict_parts(
    predictor: Predictor, encoded: Encoded, pad_token_id: int, between: Callable[[], None] = lambda: None
) -> Iterator[list[np.ndarray]]:
    """Run :func:`predict_words` on a few thousand sentences at a time, so that memory holds no more logits.

    Raises:
        InputError: logits that are not finite.
    """
    parts = ((None, part) for part in encoded.parts())
    return (words for _, words in predict_chunks(predictor, parts, pad_token_id, between))


def predict_chunks(
    predictor: Predictor,
    chunks: Iterable[tuple[Item, Encoded]],
    pad_token_id: int,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, list[np.ndarray]]]:
    """Run :func:`predict_words` on each chunk in turn, while the device computes the next.

    ``chunks`` are pairs of any object, which comes back with the result, and sentences; they are read as needed.

    Raises:
        InputError: logits that are not finite.
    """
    multiple, part = predictor.row_multiple, (predictor.rank, predictor.world_size)

    def steps() -> Iterator[tuple[tuple[Item, Encoded], Batch | None]]:
        for chunk in chunks:
            batches = inference_batches(chunk[1], pad_token_id=pad_token_id, row_multiple=multiple, part=part)
            yield from zip(repeat(chunk), chain(batches, [None]))

    found: list[tuple[int, np.ndarray]] = []
    numbers = count()
    for (item, encoded), batch, logits in _overlapped(predictor, steps()):
        if batch is None or logits is None:
            yield item, by_sentence(encoded, found)
            found = []
            continue
        if next(numbers) % _BATCHES_BETWEEN == 0:
            between()
        if not np.isfinite(logits).all():
            raise InputError("the model gives logits that are not finite: its weights are damaged")
        found += batch.at_words(logits, encoded)


def one_ahead(prepare: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply ``prepare`` to each item in order; a thread prepares the next while the caller uses the last.

    The caller's thread reads ``items``.
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
    predictor: Predictor, steps: Iterable[tuple[Item, Batch | None]]
) -> Iterator[tuple[Item, Batch | None, np.ndarray | None]]:
    """Yield the logits of each batch while the device computes the next few and the host prepares another."""
    pending: deque[tuple[Item, Batch | None, Callable[[], np.ndarray] | None]] = deque()
    started: set[Shape] = set()
    memory = MemoryWatch(IN_PREDICTION)

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
    """Start to compute the logits of ``batch``, in a lane if there are any; call the result to wait for them."""
    # The first batch of a shape compiles a program and uses no lane: two lanes would both compile it.
    if lanes is None or predictor.num_lanes == 1:
        return partial(predictor.gather, predictor.predict(batch))
    return lanes.submit(lambda: predictor.gather(predictor.predict(batch))).result
