"""What a person sees while a command works: lines on stdout, a live bar where there is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class TrainingBar:
    """A bar over a run's steps with loss, pieces a second and time left."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, step: int, epoch: int, loss: float, pieces_per_second: float) -> None:
        """Show where the run is."""
        rate = f"{pieces_per_second:,.0f} pieces/s"
        self._progress.update(self._task, completed=step, epoch=epoch, loss=f"{loss:.4f}", rate=rate)


class Reporter:
    """Says what happens; silent in all processes but the first."""

    def __init__(self, speaks: bool = True) -> None:
        self._console = Console(highlight=False, soft_wrap=True, quiet=not speaks)

    def line(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(text, markup=False)

    @contextmanager
    def training_bar(self, step: int, total_steps: int) -> Iterator[TrainingBar]:
        """A live bar from ``step`` to ``total_steps`` while the block runs; none where output is a file."""
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal, transient=True) as bar:
            yield TrainingBar(bar, bar.add_task("", total=total_steps, completed=step, epoch="-", loss="-", rate="-"))
