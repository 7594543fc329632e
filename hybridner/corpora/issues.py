"""Problems of a file, raised at once or collected up to a limit."""

from dataclasses import dataclass, field

from hybridner.errors import InputError


@dataclass(slots=True)
class Issues:
    """Problems that readers find in the lines of one file.

    Attributes:
        limit: problems to collect before reading stops; with 0 the first one is raised.
        problems: collected problems, one line each, with file and line.
        dropped: number of spans left out because they do not fall on word boundaries.
        first_dropped: the first few of them, one line each.
    """

    limit: int = 0
    problems: list[str] = field(default_factory=list)
    dropped: int = 0
    first_dropped: list[str] = field(default_factory=list)

    def add(self, problem: InputError) -> None:
        """Collect a problem that leaves the rest of the file readable, or raise it if ``limit`` is 0.

        Raises:
            InputError: the problem itself, or that there are ``limit`` problems.
        """
        if not self.limit:
            raise problem
        self.problems.append(str(problem))
        if len(self.problems) >= self.limit:
            raise InputError(f"{self.limit} problems; the rest was not read")

    def drop(self, what: str) -> None:
        """Count a span that is left out."""
        self.dropped += 1
        if len(self.first_dropped) < 3:
            self.first_dropped.append(what)
