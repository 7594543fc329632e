"""Ctrl-C and SIGTERM while a run trains: the first lets the step in flight end, a second Ctrl-C stops at once."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

# torchrun passes on the Ctrl-C that its processes got from the terminal as well: that is one press, not two.
_SAME_PRESS_SECONDS = 1.0


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and can be resumed.

    Attributes:
        exit_code: 128 + the signal's number: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A signal left a block that may be left at any moment."""


class StopSignals:
    """A context that notes SIGINT and SIGTERM instead of dying of them, and restores the old handlers at its end.

    Python has signals only in its main thread; in any other the context does nothing.

    Attributes:
        received: number of the first signal that came, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._first_at = 0.0
        self._may_leave = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and "&" set it: it stays so
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def may_leave(self) -> Iterator[None]:
        """Let the first signal leave the block at once: nothing in it need be finished.

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
        """Let a signal to any process leave a block in all of them, at the same place.

        Args:
            agree: the largest number of any process; all call it together.

        Raises:
            Interrupted: a signal came to one of them; ``received`` is its number in all.
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
