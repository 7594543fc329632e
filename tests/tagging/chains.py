"""All valid label sequences of short sentences, from the definition of each scheme, and their scores one by one."""

import itertools
import re

import numpy as np

from hybridner.tagging.lattice import Transitions, constraint_transitions

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
LABEL_SETS = [
    LABELS,
    ("I-LOC", "B-PER", "O", "I-PER", "B-LOC"),
    ("B-A", "I-A"),
    ("O", "B-A", "I-B"),
    ("O", "B-A", "B-B", "I-B"),
    ("O",),
    ("O", "B-A", "I-A", "E-A", "S-A"),
    ("E-A", "S-B", "B-A", "I-A", "S-A"),
    ("S-A", "B-B", "O", "E-B"),
]
BIO_ENTITY, BIOES_ENTITY = r"B-(\w+) (?:I-\1 )*", r"S-(\w+) |B-(\w+) (?:I-\2 )*E-\2 "


def valid_sequences(num_words, labels):
    """Yield each valid sequence of label numbers, with its entities as ``(type, first word, word after the last)``."""
    entity = BIOES_ENTITY if any(label[0] in "ES" for label in labels) else BIO_ENTITY
    for numbers in itertools.product(range(len(labels)), repeat=num_words):
        text = "".join(f"{labels[number]} " for number in numbers)
        if re.sub(entity, "", text).replace("O ", "") == "":
            spans = {
                (next(filter(None, found.groups())), text[: found.start()].count(" "), text[: found.end()].count(" "))
                for found in re.finditer(entity, text)
            }
            yield np.array(numbers), spans


def random_scores(rng, num_labels):
    return Transitions(
        *(rng.normal(scale=2, size=shape) for shape in (num_labels, (num_labels, num_labels), num_labels))
    )


def zero_scores(num_labels):
    return Transitions(np.zeros(num_labels), np.zeros((num_labels, num_labels)), np.zeros(num_labels))


def constrained(labels, scores):
    """Return the transitions that forbid invalid sequences, with ``scores`` added."""
    allowed = constraint_transitions(labels)
    return Transitions(allowed.start + scores.start, allowed.between + scores.between, allowed.end + scores.end)


def score_of(numbers, emissions, scores):
    total = scores.start[numbers[0]] + scores.end[numbers[-1]] + emissions[np.arange(len(numbers)), numbers].sum()
    return total + sum(scores.between[before, after] for before, after in itertools.pairwise(numbers))
