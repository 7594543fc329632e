"""Options and output of the commands that report on labelled data."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from cyclopts import Parameter

from hybridner.cli.output import check_writable, for_people, write_json, write_text
from hybridner.cli.reading import Reading
from hybridner.config.choices import Device, Dtype
from hybridner.model.twins import Backend


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions(Reading):
    """The data, the device and the files of a report."""

    data: str | Path
    """A labelled file, a folder with train, dev and test files, "sample", "conll2003", or a Hub id."""
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

    def make(
        self,
        score: Callable[..., Any],
        models: Iterable[tuple[str | Path, Backend | None]],
        text: Callable[[Any, int], str],
        page: Callable[[Any], str],
        **more: Any,
    ) -> None:
        """Load the models, ``score`` them on the data, write the report's files, and print it as wide as the terminal.

        Raises:
            InputError: a file cannot be written, or the models or the data cannot be read.
        """
        check_writable(self.json, self.html)
        from hybridner.tagging.tagger import load

        with for_people(self.json, self.html):
            taggers = [load(model, backend, device=self.device, dtype=self.dtype) for model, backend in models]
            reading: dict[str, Any] = {"columns": self.columns(), "misaligned": self.misaligned}
            report = score(*taggers, str(self.data), self.split, **reading, **more)
        if self.html is not None:
            write_text(self.html, page(report))
        if self.json is not None:
            write_json(self.json, report.to_dict())
        # Print last: the files must be complete when a reader closes the pipe (``| head``).
        with for_people(self.json, self.html):
            print(text(report, get_terminal_size().columns))
