"""A run's file for TensorBoard, written at once by the thread that has something to say.

``tensorboardX.SummaryWriter`` writes from a thread of its own and once more at the interpreter's end, where a disk that
is full or gone becomes pages of tracebacks and no error of the run.
"""

import time
from contextlib import suppress
from pathlib import Path


class Board:
    """A new file of events in a folder, which is made if need be."""

    def __init__(self, folder: Path, purge_step: int) -> None:
        """Open the file; what other files of the folder hold of ``purge_step`` and later is hidden.

        Raises:
            OSError: it cannot be written; every method may raise that.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(exist_ok=True)
        # A file of the same second that is there would be written over.
        self._events = EventsWriter(str(folder / "events"), f".{purge_step}")
        start = SessionLog(status=SessionLog.START)
        self._events.write_event(Event(wall_time=time.time(), step=purge_step, session_log=start))
        self._events.flush()

    def add(self, numbers: dict[str, float], step: int) -> None:
        """Write numbers by their names."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in numbers.items():
            self._events.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        self._events.flush()

    def close(self) -> None:
        """Close the file; what was added is on the disk already."""
        with suppress(OSError):
            self._events.close()
