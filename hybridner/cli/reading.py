"""Options of the commands that read labelled files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridner.config.choices import Misaligned

if TYPE_CHECKING:
    from hybridner.corpora.formats import ColumnFormat


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read."""

    word_column: int = 1
    """Column of the word in files of columns, counted from 1; -1 is the last."""
    tag_column: int = -1
    """Column of the tag, counted likewise."""
    comment: str = ""
    """What rows begin with that are left out, such as '#' in CoNLL-U."""
    misaligned: Misaligned = "error"
    """What becomes of spans of a text that do not fall on word boundaries: an error, or left out and counted."""

    def columns(self) -> "ColumnFormat":
        """How the columns of a file are read."""
        from hybridner.corpora.formats import ColumnFormat

        return ColumnFormat(self.word_column, self.tag_column, self.comment)
