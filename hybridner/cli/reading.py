"""Options of the commands that read labelled files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from hybridner.config.choices import Misaligned

if TYPE_CHECKING:
    from hybridner.corpora.formats import ColumnFormat


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """The format of labelled files."""

    word_column: int = 1
    """Column of the word in files of columns, counted from 1; -1 is the last."""
    tag_column: int = -1
    """Column of the tag, counted in the same way."""
    comment: str = ""
    """Skip rows that begin with this, such as '#' in CoNLL-U."""
    misaligned: Misaligned = "error"
    """Treatment of spans of a text that cross word boundaries: an error, or dropped and counted."""

    def columns(self) -> "ColumnFormat":
        """Return the columns in the form that the readers need."""
        from hybridner.corpora.formats import ColumnFormat

        return ColumnFormat(self.word_column, self.tag_column, self.comment)
