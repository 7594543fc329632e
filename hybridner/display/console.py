"""Progress output of commands: lines on stdout, and a live bar in a terminal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

_WIDE = 80


class TrainingBar:
    """A progress bar over the steps of a run, with loss, pieces per second and time left."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, step: int, epoch: int, loss: float, pieces_per_second: float) -> None:
        """Show the progress at ``step``."""
        rate = f"{pieces_per_second:,.0f} pieces/s"
        self._progress.update(self._task, completed=step, epoch=epoch, loss=f"{loss:.4f}", rate=rate)


class Reporter:
    """Printer of progress; only the first process speaks."""

    def __init__(self, speaks: bool = True) -> None:
        self._console = Console(highlight=False, soft_wrap=True, quiet=not speaks)

    @property
    def width(self) -> int:
        """Return the number of columns of the terminal."""
        return self._console.width

    def line(self, text: str) -> None:
        """Print a line unwrapped, above the bar if there is one."""
        self._console.print(text, markup=False)

    def sentence(self, text: str) -> None:
        """Print a text, wrapped between words in a terminal."""
        self.rows([("", text)])

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print one name and text per row, with the texts wrapped into a column in a terminal."""
        longest = max(len(name) for name, _ in rows)
        indent = longest + 2 if longest else 0
        for name, text in rows:
            room = self._console.width - indent if self._console.is_terminal else len(text)
            # Never break a path: users copy it.
            lines = wrap(text, max(room, 1), break_long_words=False, break_on_hyphens=False) or [""]
            self.line("\n".join(f"{'' if number else name:{indent}}{line}" for number, line in enumerate(lines)))

    @contextmanager
    def training_bar(self, step: int, total_steps: int) -> Iterator[TrainingBar]:
        """Show a live bar from ``step`` to ``total_steps`` while the block runs, in a terminal only."""
        with Progress(
            *self._columns(), console=self._console, disable=not self._console.is_terminal, transient=True
        ) as bar:
            yield TrainingBar(bar, bar.add_task("", total=total_steps, completed=step, epoch="-", loss="-", rate="-"))

    def _columns(self) -> list[ProgressColumn]:
        epoch, loss = TextColumn("epoch {task.fields[epoch]}"), TextColumn("loss {task.fields[loss]}")
        if self._console.width < _WIDE:
            return [epoch, TaskProgressColumn(), loss, TimeRemainingColumn(compact=True)]
        rate = TextColumn("{task.fields[rate]}")
        return [epoch, BarColumn(bar_width=None), MofNCompleteColumn(), loss, rate, TimeRemainingColumn()]
