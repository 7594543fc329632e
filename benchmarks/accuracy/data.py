"""The sentences that all systems train on and are scored on."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridner.corpora.corpus import Corpus, Sentence
from hybridner.corpora.read import check_types, read_corpus
from hybridner.corpora.split import split_file
from hybridner.errors import InputError
from hybridner.evaluation.bootstrap import resampling_units


@dataclass(frozen=True)
class Parts:
    """A corpus: train to learn from, dev for choices, test for the report.

    Attributes:
        name: name of the corpus.
        digest: SHA-256 of the three splits, hexadecimal; the same sentences in the same order have the same.
        notes: notes on the data, for the user, without the path of their folder.
    """

    name: str
    train: Sequence[Sentence]
    dev: Sequence[Sentence]
    test: Sequence[Sentence]
    digest: str
    notes: Sequence[str] = ()


def read_parts(data: str, split_seed: int | None = None) -> Parts:
    """Read a corpus, or split a single file by document as ``hybridner data split --seed SEED`` does.

    Args:
        data: a corpus as for training, with a test split; or a labelled file.
        split_seed: the seed; only for a file.

    Raises:
        InputError: the data cannot be read, have no test split, or are a corpus although there is a ``split_seed``.
    """
    path = Path(data).expanduser()
    if not path.is_file():
        if split_seed is not None:
            raise InputError(f"{data}: has its splits; --split-seeds is for a single file, leave it out")
        corpus = read_corpus(data)
        return _parts(corpus.name, corpus, data)
    with tempfile.TemporaryDirectory() as folder:
        split_file(path, Path(folder), by="document", seed=split_seed or 0)
        return _parts(f"{path.absolute().parent.name}/{path.name}", read_corpus(folder), folder)


def _parts(name: str, corpus: Corpus, folder: str) -> Parts:
    if "test" not in corpus.splits:
        raise InputError(f"{name}: no test split; expected a file such as test.txt, or a single file to split")
    check_types(corpus)
    train, dev, test = (corpus.splits[split] for split in ("train", "valid", "test"))
    digest = hashlib.sha256("".join(split.digest() for split in (train, dev, test)).encode()).hexdigest()
    notes = [note.removeprefix(f"{folder}/") for note in corpus.notes]
    return Parts(name, list(train), list(dev), list(test), digest, notes)


def first_sentences(sentences: Sequence[Sentence], size: int | None, seed: int) -> list[Sentence]:
    """Shuffle the documents, and take the first ``size`` sentences; of less than 10 documents, shuffle the sentences.

    The subsets of one seed are nested: the larger contains the smaller. Sentences of a document stay together and in
    order, and only the last document may be cut. None takes all sentences as they are.
    """
    if size is None:
        return list(sentences)
    units = resampling_units(len(sentences), [sentence.document for sentence in sentences])
    place = np.random.Generator(np.random.Philox(seed)).permutation(units.count)
    order = np.argsort(place[units.of_sentence], kind="stable")
    return [sentences[i] for i in order[:size].tolist()]
