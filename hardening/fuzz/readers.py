"""All readers of the project."""

from hardening.fuzz import model_readers, text_readers
from hardening.fuzz.cases import Reader

READERS: tuple[Reader, ...] = (*text_readers.READERS, *model_readers.READERS)
