"""A run's file for TensorBoard.

``tensorboardX.SummaryWriter`` writes in a background thread and when the interpreter exits, where a full disk prints
tracebacks instead of ending the run with an error. So we write each event at once.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class Board:
    """A new file of events in a folder, which is made if need be."""

    def __init__(self, folder: Path, purge_step: int) -> None:
        """Open the file, and hide the events of ``purge_step`` and later in the folder's other files.

        Raises:
            OSError: it cannot be written; :meth:`add` may raise that, too.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(exist_ok=True)
        # The file's name contains the time in seconds; the step distinguishes two files of one second.
        self._events = EventsWriter(str(folder / "events"), f".{purge_step}")
        self._write(purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, numbers: dict[str, float], step: int) -> None:
        """Write numbers under their names."""
        from tensorboardX.summary import scalar

        for name, value in numbers.items():
            self._write(step, summary=scalar(name, value))

    def close(self) -> None:
        """Close the file; everything is already on disk."""
        with suppress(OSError):
            self._events.close()

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._events.write_event(Event(wall_time=time.time(), step=step, **content))
        self._events.flush()
