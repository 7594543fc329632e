"""A system that learns to tag, and what it has learned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hybridner.corpora.corpus import Sentence


@dataclass(frozen=True)
class Trained:
    """A trained system.

    Attributes:
        predict: tags sentences; one list of BIO tags per sentence.
        parameters: number of trained weights.
        chosen: what training chose, such as the best epoch.
    """

    predict: Callable[[Sequence[Sentence]], list[list[str]]]
    parameters: int
    chosen: dict[str, Any] = field(default_factory=dict)


class System(Protocol):
    """A way to train a tagger.

    Attributes:
        name: name in tables.
        about: its features and settings, for people.
        is_seeded: False if the same sentences give the same tagger whatever the seed.
        versions: versions of the packages that decide what it learns.
    """

    name: str
    about: str
    is_seeded: bool
    versions: dict[str, str]

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], seed: int) -> Trained:
        """Learn from ``train``, and choose by ``dev``, such as when to stop."""
        ...
