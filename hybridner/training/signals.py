"""Ctrl-C and SIGTERM in training: the run finishes its step and saves; a second Ctrl-C stops it at once."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# torchrun repeats the Ctrl-C that its processes also receive from the terminal: that is one press, not two.
_SAME_PRESS_SECONDS = 1.0


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop, and is saved; ``exit_code`` is 130 after Ctrl-C, 143 after SIGTERM."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A signal that came in a block that may be left at any moment."""


class StopSignals:
    """A context that records SIGINT and SIGTERM, and restores the old handlers at its end.

    Python handles signals in its main thread only; in another the context does nothing. ``received`` is the number of
    the first signal that came, or 0.
    """

    def __init__(self) -> None:
        self.received, self._first_at, self._may_leave = 0, 0.0, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and "&" make the process ignore it
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def may_leave(self) -> Iterator[None]:
        """Leave the block at once when the first signal comes: nothing in it needs to be finished.

        Raises:
            Interrupted: a signal came, in the block or before it.
        """
        if self.received:
            raise Interrupted
        self._may_leave = True
        try:
            yield
        finally:
            self._may_leave = False

    def leave_together(self, agree: Callable[[int], int]) -> None:
        """Leave a block in all processes, which call this together, if a signal has come to one of them.

        Args:
            agree: returns the largest number of any process.

        Raises:
            Interrupted: a signal has come; ``received`` is its number in all processes.
        """
        if number := agree(self.received):
            self.received = number
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._first_at = number, time.monotonic()
            if self._may_leave:
                raise Interrupted
        elif number == signal.SIGINT and time.monotonic() - self._first_at > _SAME_PRESS_SECONDS:
            raise KeyboardInterrupt
