"""All readers of the project."""

from benchmarks.fuzz import model_readers, text_readers
from benchmarks.fuzz.cases import Reader

READERS: tuple[Reader, ...] = (*text_readers.READERS, *model_readers.READERS)
