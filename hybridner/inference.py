"""A learner run over a whole split: every word's logits or tag, with host and device at work together."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from hybridner.data.batches import Batch, inference_batches
from hybridner.data.encoding import Encoded, by_sentence
from hybridner.errors import InputError
from hybridner.learner import Learner

_IN_FLIGHT = 2


def predict_words(
    learner: Learner,
    encoded: Encoded,
    pad_token_id: int,
    reduce: Callable[[np.ndarray], np.ndarray] = lambda logits: logits,
) -> list[np.ndarray]:
    """What the model says of each word, an array a sentence in the order of the split.

    Args:
        learner: holds the weights.
        encoded: the split.
        pad_token_id: fills the batches.
        reduce: turns a batch's logits ``[rows, length, num_labels]`` into what is kept of each piece.

    Returns:
        Arrays ``[num_words, …]``; a word cut into windows is taken from the one where it has most context.

    Raises:
        InputError: logits that are not finite.
    """

    def pairs() -> Iterator[tuple[int, np.ndarray]]:
        for batch, logits in _overlapped(
            learner, inference_batches(encoded, pad_token_id=pad_token_id, row_multiple=learner.row_multiple)
        ):
            if not np.isfinite(logits).all():
                raise InputError("the model gives logits that are not finite: its weights are damaged")
            yield from batch.at_words(reduce(logits))

    return by_sentence(encoded, pairs())


def predict_tags(learner: Learner, encoded: Encoded, pad_token_id: int, labels: Sequence[str]) -> list[list[str]]:
    """The most probable tag of each word, each word by itself (the argmax of its logits)."""
    names = np.array(labels, object)
    best = predict_words(learner, encoded, pad_token_id, lambda logits: logits.argmax(-1).astype(np.int32))
    return [names[sentence].tolist() for sentence in best]


def _overlapped(
    learner: Learner, batches: Iterator[Batch]
) -> Iterator[tuple[Batch, Float[np.ndarray, "rows length num_labels"]]]:
    """Keep a few batches on the device while the host prepares the next and reads the last."""
    pending: deque[tuple[Batch, object]] = deque()
    for batch in batches:
        pending.append((batch, learner.predict(batch)))
        if len(pending) > _IN_FLIGHT:
            done, logits = pending.popleft()
            yield done, learner.gather(logits)
    for done, logits in pending:
        yield done, learner.gather(logits)
