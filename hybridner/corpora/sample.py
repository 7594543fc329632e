"""The sample corpus: made on the spot from templates, the same on every machine.

Names of all four types come from one generator and stand in the same surroundings; only a word some way off tells the
type. Names of the valid and test splits do not stand in the train split, nor do their words. So neither a list of
names nor the neighbouring words are enough: the tagger has to read the sentence.
"""

from collections.abc import Iterator
from typing import Literal, TypeVar

import numpy as np

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.sample_words import (
    CLAUSES_WITHOUT_ENTITY,
    CODAS,
    FAR_CLAUSES,
    FILLERS,
    JOINTS,
    NEAR_CLAUSES,
    ONSETS,
    TRIGGERS,
    VOWELS,
)

SampleSplit = Literal["train", "valid", "test"]
SENTENCES: dict[SampleSplit, int] = {"train": 3600, "valid": 500, "test": 500}

_NAMES_SEED, _SENTENCES_SEED = 1, 2
_NAME_WORDS = {"train": 4000, "valid": 900, "test": 900}
_NEAR_SHARE = 0.5
_TYPES = tuple(TRIGGERS)
T = TypeVar("T")


def sample_sentences(split: SampleSplit) -> Iterator[Sentence]:
    """Generate the sentences of a split, in documents of three to eight.

    Args:
        split: "train", "valid" or "test".
    """
    number = list(SENTENCES).index(split)
    rng = np.random.Generator(np.random.Philox(key=[_SENTENCES_SEED, number]))
    names = _name_words(split)
    document, left = -1, 0
    for line in range(1, SENTENCES[split] + 1):
        if left == 0:
            document, left = document + 1, int(rng.integers(3, 9))
        left -= 1
        kind = rng.random()
        if kind < 0.15:
            words, tags = _clause(rng, _pick(rng, CLAUSES_WITHOUT_ENTITY), names)
        else:
            words, tags = _clause(rng, _entity_clause(rng), names)
            if kind > 0.85:
                joint = _pick(rng, JOINTS).split()
                more_words, more_tags = _clause(rng, _entity_clause(rng), names)
                words, tags = words + joint + more_words, tags + ["O"] * len(joint) + more_tags
        words[0] = words[0][0].upper() + words[0][1:]
        yield Sentence((*words, "."), (*tags, "O"), document, line)


def _entity_clause(rng: np.random.Generator) -> str:
    return _pick(rng, NEAR_CLAUSES if rng.random() < _NEAR_SHARE else FAR_CLAUSES)


def _clause(rng: np.random.Generator, template: str, names: list[str]) -> tuple[list[str], list[str]]:
    kind = _pick(rng, _TYPES)
    words: list[str] = []
    tags: list[str] = []
    for slot in template.split():
        if slot == "{e}":
            size = int(rng.choice(3, p=(0.5, 0.4, 0.1))) + 1
            words += [_pick(rng, names) for _ in range(size)]
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
            continue
        if slot == "{t}":
            slot = _pick(rng, TRIGGERS[kind])
        elif slot[0] == "{":
            slot = _pick(rng, FILLERS[slot[1:-1]])
        words.append(slot)
        tags.append("O")
    return words, tags


def _name_words(split: SampleSplit) -> list[str]:
    """Make the words for the names of a split; no other split has them."""
    rng = np.random.Generator(np.random.Philox(_NAMES_SEED))
    words: dict[str, None] = {}
    while len(words) < sum(_NAME_WORDS.values()):
        size = int(rng.integers(2, 4))
        syllables = (_pick(rng, ONSETS) + _pick(rng, VOWELS) + _pick(rng, CODAS) for _ in range(size))
        words["".join(syllables).capitalize()] = None
    ordered = list(words)
    first = 0
    for name, count in _NAME_WORDS.items():
        if name == split:
            return ordered[first : first + count]
        first += count
    raise ValueError(f"no split {split!r}")


def _pick(rng: np.random.Generator, choices: "tuple[T, ...] | list[T]") -> T:
    return choices[int(rng.integers(len(choices)))]
