"""The sample corpus: generated from templates, the same on every machine.

Names of all four types come from one generator and have the same neighbours; only a word some way off reveals the type.
No word of a name in the valid and test splits appears in the train split. So neither a list of names nor the
neighbouring words are enough: the tagger has to read the sentence.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hybridner.corpora import sample_words as parts
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.splits import SplitName

SENTENCES: dict[SplitName, int] = {"train": 3600, "valid": 500, "test": 500}

_NAMES_SEED, _SENTENCES_SEED = 1, 2
_NAME_WORDS = {"train": slice(0, 4000), "valid": slice(4000, 4900), "test": slice(4900, 5800)}
_NEAR_SHARE = 0.5


def sample_sentences(split: SplitName) -> Iterator[Sentence]:
    """Generate the sentences of a split, in documents of three to eight."""
    rng = np.random.Generator(np.random.Philox(key=[_SENTENCES_SEED, list(SENTENCES).index(split)]))
    names = _name_words(split)
    document, left = -1, 0
    for line in range(1, SENTENCES[split] + 1):
        if left == 0:
            document, left = document + 1, int(rng.integers(3, 9))
        left -= 1
        kind = rng.random()
        words, tags = _clause(rng, names, parts.CLAUSES_WITHOUT_ENTITY) if kind < 0.15 else _entity_clause(rng, names)
        if kind > 0.85:
            joint = _pick(rng, parts.JOINTS).split()
            more_words, more_tags = _entity_clause(rng, names)
            words, tags = words + joint + more_words, tags + ["O"] * len(joint) + more_tags
        words[0] = words[0][0].upper() + words[0][1:]
        yield Sentence((*words, "."), (*tags, "O"), document, line)


def _entity_clause(rng: np.random.Generator, names: list[str]) -> tuple[list[str], list[str]]:
    return _clause(rng, names, parts.NEAR_CLAUSES if rng.random() < _NEAR_SHARE else parts.FAR_CLAUSES)


def _clause(rng: np.random.Generator, names: list[str], templates: Sequence[str]) -> tuple[list[str], list[str]]:
    template = _pick(rng, templates)
    kind = _pick(rng, tuple(parts.TRIGGERS))
    fillers = {**parts.FILLERS, "t": parts.TRIGGERS[kind]}
    words: list[str] = []
    tags: list[str] = []
    for slot in template.split():
        if slot == "{e}":
            size = int(rng.choice(3, p=(0.5, 0.4, 0.1))) + 1
            words += [_pick(rng, names) for _ in range(size)]
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
        else:
            words.append(_pick(rng, fillers[slot[1:-1]]) if slot[0] == "{" else slot)
            tags.append("O")
    return words, tags


def _name_words(split: SplitName) -> list[str]:
    """Generate the words for the names of a split; no other split has them."""
    rng = np.random.Generator(np.random.Philox(_NAMES_SEED))
    words: dict[str, None] = {}
    while len(words) < _NAME_WORDS["test"].stop:
        size = int(rng.integers(2, 4))
        syllables = (_pick(rng, parts.ONSETS) + _pick(rng, parts.VOWELS) + _pick(rng, parts.CODAS) for _ in range(size))
        words["".join(syllables).capitalize()] = None
    return list(words)[_NAME_WORDS[split]]


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
