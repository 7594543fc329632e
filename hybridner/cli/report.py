"""Options and output of the commands that report on labelled data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Protocol, TypeVar

from cyclopts import Parameter

from hybridner.cli.output import STANDARD_OUTPUT, check_writable, for_people, write_json, write_text
from hybridner.cli.reading import Reading
from hybridner.config.choices import Device, Dtype


class Reported(Protocol):
    """A report as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers."""
        ...


Report = TypeVar("Report", bound=Reported)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions(Reading):
    """The data, the device and the files of a report."""

    data: str | Path
    """A labelled file, or a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    split: str | None = None
    """The split to score: train, dev or test; test by default. A single file has no splits."""
    device: Device = "auto"
    """Device to compute on."""
    dtype: Dtype = "float32"
    """Type of the computation."""
    json: Path | None = None
    """Also write all numbers to this file; - prints them instead."""
    html: Path | None = None
    """Also write the report to this HTML file, with pictures if matplotlib is installed; - prints it instead."""

    def check(self) -> None:
        """Check that the files can be written, before the work.

        Raises:
            InputError: one cannot.
        """
        for path in (self.json, self.html):
            check_writable(path)

    def report(
        self, make: Callable[[], Report], text: Callable[[Report, int], str], page: Callable[[Report], str]
    ) -> None:
        """Make a report, write its files, and print it as wide as the terminal."""
        taken = STANDARD_OUTPUT if STANDARD_OUTPUT in (self.json, self.html) else None
        with for_people(taken):
            report = make()
        if self.html is not None:
            write_text(self.html, page(report))
        if self.json is not None:
            write_json(self.json, report.to_dict())
        # Print last: a reader may close the pipe (``| head``), and the files must be complete by then.
        with for_people(taken):
            print(text(report, get_terminal_size().columns))
