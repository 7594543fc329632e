"""Running out of memory, said in one line: with which batches, and what to lower."""

from collections import deque
from types import TracebackType

from hybridner.batches.packing import Shape
from hybridner.errors import InputError

IN_TRAINING = "lower --batch-size or --max-length, or compute a step in parts with --accumulate"
IN_PREDICTION = "compute on another --device, or with a model of a smaller max_length"
_SIGNS = ("RESOURCE_EXHAUSTED", "can't allocate memory", "Out of memory", "out of memory")
_IN_FLIGHT = 4


class MemoryWatch:
    """A context in which running out of memory becomes an :class:`InputError`.

    A device computes behind the host's back, and the error comes when its result is read: so the shapes of the last
    few batches are what is known of the one that did not fit.
    """

    def __init__(self, advice: str) -> None:
        """Watch over batches that :meth:`note` names; ``advice`` says what to change."""
        self._advice = advice
        self._shapes: deque[Shape] = deque(maxlen=_IN_FLIGHT)

    def note(self, shape: Shape) -> None:
        """Record the shape of the batch that is computed next."""
        self._shapes.append(shape)

    def __enter__(self) -> "MemoryWatch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or not is_out_of_memory(error):
            return
        newest = list(dict.fromkeys(reversed(self._shapes)))
        shapes = " or ".join(f"{shape.rows} × {shape.length}" for shape in newest) or "no batch yet"
        raise InputError(f"out of memory with a batch of {shapes} (rows × pieces); {self._advice}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Recognise an error of Python, XLA or PyTorch's allocators that means out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
