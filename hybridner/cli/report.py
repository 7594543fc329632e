"""What the commands that report on labelled data share: their options, and where a report goes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Protocol, TypeVar

from hybridner.cli.output import STANDARD_OUTPUT, check_writable, for_people, write_json, write_text
from hybridner.cli.reading import Reading
from hybridner.config.choices import Device, Dtype


class Reported(Protocol):
    """A report as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """The numbers."""
        ...


Report = TypeVar("Report", bound=Reported)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Reading):
    """The data, where to compute, and the files of a report."""

    data: str
    """A labelled file, or a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    split: str | None = None
    """The split to score: train, valid (dev) or test, which is the default. A file has none."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""
    json: Path | None = None
    """Also write all numbers to this file; - prints them instead."""
    html: Path | None = None
    """Also write the report, to this file as one HTML page, with pictures where matplotlib is
    installed; - prints it instead."""

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
        """Make a report, write its files, and print it in the terminal's width."""
        taken = STANDARD_OUTPUT if STANDARD_OUTPUT in (self.json, self.html) else None
        with for_people(taken):
            report = make()
        if self.html is not None:
            write_text(self.html, page(report))
        if self.json is not None:
            write_json(self.json, report.to_dict())
        # Printed last: a reader of the text may close the pipe (``| head``), and the files are to be whole then.
        with for_people(taken):
            print(text(report, get_terminal_size().columns))
