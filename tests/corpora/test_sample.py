"""The sample corpus needs context: neither a list of names nor the neighbouring words suffice to find its entities."""

import os
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from hybridner.corpora.sample import SENTENCES, sample_sentences
from hybridner.corpora.schemes import entity_spans, invalid_transitions
from hybridner.evaluation.scoring import score

DIGEST = """
import hashlib
from hybridner.corpora.sample import sample_sentences
print(hashlib.sha256(repr([list(sample_sentences(s)) for s in ("train", "valid", "test")]).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def corpus():
    return {split: list(sample_sentences(split)) for split in SENTENCES}


def entities(sentences):
    return {s.words[a:b] for s in sentences for _, a, b in entity_spans(s.tags)}


def f1(sentences, predicted):
    return score([s.tags for s in sentences], predicted).f1


def test_every_process_makes_the_same_corpus():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_splits_have_thousands_of_sentences_and_four_types(corpus):
    for split, sentences in corpus.items():
        assert len(sentences) == SENTENCES[split]
        types = Counter(kind for s in sentences for kind, _, _ in entity_spans(s.tags))
        assert set(types) == {"PER", "ORG", "LOC", "MISC"}
        assert min(types.values()) > 0.15 * sum(types.values())
        assert not any(invalid_transitions(s.tags) for s in sentences)


def test_documents_are_numbered_without_gaps(corpus):
    for sentences in corpus.values():
        numbers = [s.document for s in sentences]
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(max(numbers) + 1))


def test_no_word_of_a_test_or_dev_entity_stands_in_train(corpus):
    in_train = {word for s in corpus["train"] for word in s.words}
    for split in ("valid", "test"):
        assert not in_train & {word for name in entities(corpus[split]) for word in name}


def test_looking_up_train_entities_scores_below_a_fifth(corpus):
    types = defaultdict(Counter)
    for s in corpus["train"]:
        for kind, a, b in entity_spans(s.tags):
            types[s.words[a:b]][kind] += 1
    longest = max(map(len, types))
    predicted = []
    for s in corpus["test"]:
        tags = ["O"] * len(s.words)
        for start in range(len(tags)):
            for stop in range(min(len(tags), start + longest), start, -1):
                if s.words[start:stop] in types and tags[start] == "O":
                    kind = types[s.words[start:stop]].most_common(1)[0][0]
                    tags[start:stop] = [f"B-{kind}"] + [f"I-{kind}"] * (stop - start - 1)
                    break
        predicted.append(tags)
    assert f1(corpus["test"], predicted) < 0.2


def neighbours(words, i):
    previous = words[i - 1] if i else "<s>"
    following = words[i + 1] if i + 1 < len(words) else "</s>"
    shape = ("Upper" if words[i][0].isupper() else "lower",)
    return [("both", previous, following, *shape), ("previous", previous, *shape), ("next", following, *shape), shape]


def test_a_classifier_of_the_two_neighbouring_words_scores_below_four_fifths(corpus):
    counts = defaultdict(Counter)
    for s in corpus["train"]:
        for i, tag in enumerate(s.tags):
            for feature in neighbours(s.words, i):
                counts[feature][tag] += 1
    predicted = [
        [
            next(counts[f] for f in neighbours(s.words, i) if f in counts).most_common(1)[0][0]
            for i in range(len(s.words))
        ]
        for s in corpus["test"]
    ]
    found = f1(corpus["test"], predicted)
    assert 0.2 < found < 0.8  # below 0.2 it would be no useful classifier
