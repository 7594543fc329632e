"""Progress output of commands: lines on stdout, and a live bar in a terminal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap

from rich import progress
from rich.console import Console


class TrainingBar:
    """A progress bar over the steps of a run, with loss, pieces per second and time left."""

    def __init__(self, bar: progress.Progress, task: progress.TaskID) -> None:
        self._bar, self._task = bar, task

    def update(self, step: int, epoch: int, loss: float, pieces_per_second: float) -> None:
        """Show the progress at ``step``."""
        rate = f"{pieces_per_second:,.0f} pieces/s"
        self._bar.update(self._task, completed=step, epoch=epoch, loss=f"{loss:.4f}", rate=rate)


class Reporter:
    """Printer of progress; only the first process prints."""

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
            room = self.width - indent if self._console.is_terminal else len(text)
            # Never break a path: users copy it.
            lines = wrap(text, max(room, 1), break_long_words=False, break_on_hyphens=False) or [""]
            self.line("\n".join(f"{'' if number else name:{indent}}{line}" for number, line in enumerate(lines)))

    @contextmanager
    def training_bar(self, step: int, total_steps: int) -> Iterator[TrainingBar]:
        """Show a live bar from ``step`` to ``total_steps`` while the block runs, in a terminal only."""
        epoch, loss = progress.TextColumn("epoch {task.fields[epoch]}"), progress.TextColumn("loss {task.fields[loss]}")
        columns = [epoch, progress.TaskProgressColumn(), loss, progress.TimeRemainingColumn(compact=True)]
        if self.width >= 80:
            size, rate = [progress.BarColumn(None), progress.MofNCompleteColumn()], "{task.fields[rate]}"
            columns = [epoch, *size, loss, progress.TextColumn(rate), progress.TimeRemainingColumn()]
        off = not self._console.is_terminal
        with progress.Progress(*columns, console=self._console, disable=off, transient=True) as bar:
            yield TrainingBar(bar, bar.add_task("", total=total_steps, completed=step, epoch="-", loss="-", rate="-"))
