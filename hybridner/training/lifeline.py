"""Each process of a run learns within a minute when another one is gone, says which, and ends.

A collective waits for all processes: where one was killed, or its host went down, the others may wait for hours (NCCL),
or end with pages that do not say why (Gloo, JAX). So each process keeps a connection with process 0, and listens at it.
The end of a connection, or silence, means that the process at the other end is gone; process 0 tells the others.
Whoever ends by itself says so first, and whether all went well.
"""

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from hybridner.training.signals import Stopped

LOST = 75  # EX_TEMPFAIL of sysexits.h: try again
_BEAT_SECONDS = 3.0
_SILENT_BEATS = 10
_GRACE_SECONDS = 15.0  # for the main thread to end by itself, with a reason of its own
_NEWS_SECONDS = 5.0  # a broken collective may be noticed before the news of a lost process comes
_CLOSED, _SILENT = "killed, or its host went down", "nothing was heard of it"


class ProcessLost(Exception):  # noqa: N818 - what happened, and not in this process
    """Another process of the run was lost, or has ended with an error, so that this one cannot go on.

    The message is one line that names it. The processes that are left cannot train another run together; at its end
    this one exits with code 75.
    """


class Lifeline:
    """What this process knows of the others.

    Processes may train several runs, one after the other: what ends one of them is no matter for the next.
    """

    def __init__(
        self, rank: int, num_processes: int, connections: dict[int, socket.socket], last_resort: Callable[[str], None]
    ) -> None:
        """Begin to listen.

        Args:
            rank: number of this process.
            num_processes: how many there are.
            connections: as :func:`hybridner.training.rendezvous.meet` gives them.
            last_resort: called with the reason, in another thread, if the main thread does not end by itself.
        """
        self._rank, self._num_processes, self._last_resort = rank, num_processes, last_resort
        self._connections = dict(connections)
        self._heard: set[int] = set()
        self._ended_run = dict.fromkeys(range(num_processes), 0)
        self._lost: dict[int, str] = {}
        self._failed: dict[int, int] = {}  # by run, the first process that ended it with an error
        self._run, self._is_running = 0, False
        self._news = threading.Condition()  # held whenever one of these is read or changed
        for other, connection in connections.items():
            self._in_thread(self._listen, other, connection)
        self._in_thread(self._watch)

    def begin(self) -> None:
        """A run begins in this process."""
        with self._news:
            self._run, self._is_running = self._run + 1, True

    def end(self, *, well: bool) -> None:
        """The run has ended in this process; ``well`` if nothing keeps the others from ending well too."""
        with self._news:
            self._is_running = False
            self._tell(f"end {self._rank} {self._run} {'well' if well else 'ill'}")

    def reason(self, wait: float = 0.0) -> str:
        """Why the run in progress cannot go on, in one line; empty if nothing is known after ``wait`` seconds."""
        with self._news:
            self._news.wait_for(self._reason, wait)
            return self._reason()

    def _reason(self) -> str:
        if not self._is_running:
            return ""
        again = f"start all {self._num_processes} again with --resume, to go on from the last checkpoint"
        for other, how in self._lost.items():
            if self._ended_run[other] < self._run:
                return f"process {other} of {self._num_processes} was lost ({how}); {again}"
        if self._run in self._failed:
            who = f"process {self._failed[self._run]} of {self._num_processes}"
            return f"{who} has ended with an error, which it has printed; mend that, and {again}"
        return ""

    def _listen(self, other: int, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("r", encoding="ascii") as lines:
            for line in lines:
                with self._news:
                    self._heard.add(other)
                    self._take(line.strip())
        with self._news:
            self._take(f"lost {other} {_CLOSED}")

    def _take(self, message: str) -> None:
        """Take over what another process, or process 0 for it, has to say."""
        kind, _, rest = message.partition(" ")
        if kind == "lost":
            other, how = rest.split(" ", 1)
            self._lost.setdefault(int(other), how)
            self._connections.pop(int(other), None)
        elif kind == "end":
            other, run, how = rest.split()
            self._ended_run[int(other)] = int(run)
            if how == "ill":
                self._failed.setdefault(int(run), int(other))
        else:
            return
        self._news.notify_all()
        if self._rank == 0:
            self._tell(message)

    def _tell(self, message: str) -> None:
        for connection in self._connections.values():
            with suppress(OSError):  # who does not listen any more is found lost by the thread that listens to it
                connection.sendall(f"{message}\n".encode())

    def _watch(self) -> None:
        """Send beats, and count those of the others.

        Silence is measured in beats of our own, not in time: a process that was suspended has heard nobody meanwhile.
        """
        silent = dict.fromkeys(self._connections, 0)
        give_up_at: float | None = None
        while True:
            time.sleep(_BEAT_SECONDS)
            with self._news:
                self._tell("beat")
                for other in list(self._connections):
                    silent[other] = 0 if other in self._heard else silent[other] + 1
                    if silent[other] >= _SILENT_BEATS:
                        self._take(f"lost {other} {_SILENT} for {_SILENT_BEATS * _BEAT_SECONDS:g} s")
                self._heard.clear()
                reason = self._reason()
            if not reason:
                give_up_at = None
            elif give_up_at is None:
                give_up_at = time.monotonic() + _GRACE_SECONDS
            elif time.monotonic() >= give_up_at:
                self._last_resort(reason)
                return

    def _in_thread(self, target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, name="hybridner-lifeline", daemon=True).start()


_held: Lifeline | None = None
_is_watched = False


def hold(rank: int, num_processes: int, connections: dict[int, socket.socket]) -> None:
    """Hold a lifeline to the other processes, from joining them to the end of this one.

    Args:
        rank: number of this process.
        num_processes: how many there are.
        connections: as :func:`hybridner.training.rendezvous.meet` gives them.
    """
    global _held

    def last_resort(reason: str) -> None:
        with suppress(OSError):
            os.write(2, f"error: {reason}\n".encode())
        leave(LOST)

    _held = Lifeline(rank, num_processes, connections, last_resort)
    if _is_watched:
        _held.begin()


@contextmanager
def watched() -> Iterator[None]:
    """A block in which a run is trained: the other processes are told how it ends.

    Raises:
        ProcessLost: an error came up in the block, and the reason is that another process is gone.
    """
    global _is_watched
    _is_watched = True
    if _held is not None:
        _held.begin()
    try:
        yield
    except Stopped:  # as all have agreed to
        _end(well=True)
        raise
    except RuntimeError as error:  # as a collective raises that is broken
        reason = "" if _held is None else _held.reason(_NEWS_SECONDS)
        _end(well=False)
        if not reason:
            raise
        atexit.register(leave, LOST)  # the frameworks would wait for the lost one at exit
        raise ProcessLost(reason) from error
    except BaseException:
        _end(well=False)
        raise
    _end(well=True)


def is_held() -> bool:
    """Whether this process has joined others."""
    return _held is not None


def leave(code: int) -> NoReturn:
    """End this process at once: at a usual exit the frameworks would wait for the others."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _end(*, well: bool) -> None:
    global _is_watched
    _is_watched = False
    if _held is not None:
        _held.end(well=well)
