"""Taggers that others train from scratch: a linear CRF with features by hand, and spaCy without vectors."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from benchmarks.accuracy.systems import Trained
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError, needs
from hybridner.text.vocabulary import shape_of

_WINDOW = (-2, -1, 0, 1, 2)
_LONGEST_AFFIX = 4


def _versions(system: str, module: str, *packages: str) -> dict[str, str]:
    """Return the versions of ``packages``, of which the first has the ``module``.

    Raises:
        InputError: it is not installed.
    """
    if missing := needs(f"the system {system}", module, "accuracy"):
        raise InputError(missing)
    return {package: version(package) for package in packages}


class Crf:
    """A linear-chain CRF by sklearn-crfsuite, with the settings of its tutorial.

    Raises:
        InputError: sklearn-crfsuite is not installed.
    """

    name = "crf"
    about = (
        "sklearn-crfsuite, L-BFGS, c1 0.1, c2 0.1, at most 100 iterations, all transitions; features of the words from "
        "two before to two after: word, lower case, prefixes and suffixes of 1 to 4 letters, shape, all digits, all "
        "upper case, title case; dev is not used"
    )
    is_seeded = False

    def __init__(self) -> None:
        self.versions = _versions("crf", "sklearn_crfsuite", "sklearn-crfsuite", "python-crfsuite")

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], seed: int) -> Trained:
        """Fit the weights; nothing depends on ``dev`` or ``seed``."""
        from sklearn_crfsuite import CRF

        model = CRF(algorithm="lbfgs", c1=0.1, c2=0.1, max_iterations=100, all_possible_transitions=True)
        model.fit([sentence_features(s.words) for s in train], [s.tags for s in train])

        def predict(sentences: Sequence[Sentence]) -> list[list[str]]:
            predicted = model.predict([sentence_features(s.words) for s in sentences])
            return [[str(tag) for tag in tags] for tags in predicted]

        parameters = len(model.state_features_) + len(model.transition_features_)
        return Trained(predict, parameters, {"iterations": model.training_log_.last_iteration["num"]})


def sentence_features(words: Sequence[str]) -> list[list[str]]:
    """Name the features of each word of a sentence: those of the word and its neighbours, and of the ends."""
    features: list[list[str]] = []
    for i in range(len(words)):
        found = ["bias"]
        for offset in _WINDOW:
            inside = 0 <= i + offset < len(words)
            found += _word_features(words[i + offset], offset) if inside else [f"{offset}:outside"]
        features.append(found)
    return features


@cache
def _word_features(word: str, offset: int) -> list[str]:
    values = [f"word={word}", f"lower={word.lower()}", f"shape={shape_of(word)}"]
    for length in range(1, _LONGEST_AFFIX + 1):
        values += [f"prefix{length}={word[:length]}", f"suffix{length}={word[-length:]}"]
    flags = {"digit": word.isdigit(), "upper": word.isupper(), "title": word.istitle()}
    return [f"{offset}:{value}" for value in (*values, *(name for name, holds in flags.items() if holds))]


class Spacy:
    """spaCy's ``ner`` in a blank English pipeline, as ``spacy train`` trains it.

    Raises:
        InputError: spaCy is not installed.
    """

    name = "spacy"
    about = (
        "spaCy's blank English pipeline, trained from scratch with the settings of `spacy init config -p ner -o "
        "accuracy` without its vectors; a document per sentence; dev chooses the step and when to stop"
    )
    is_seeded = True

    def __init__(self) -> None:
        self.versions = _versions("spacy", "spacy", "spacy", "thinc")

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], seed: int) -> Trained:
        """Train until dev F1 has not risen for 1,600 steps, spaCy's default."""
        import spacy
        from spacy.cli.init_config import init_config
        from spacy.tokens import Doc, DocBin
        from spacy.training.initialize import init_nlp
        from spacy.training.loop import train as run_training

        config = init_config(lang="en", pipeline=["ner"], optimize="accuracy", gpu=False)
        config["paths"]["vectors"] = None
        config["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"] = False
        config["system"]["seed"] = seed
        blank = spacy.blank("en")
        with tempfile.TemporaryDirectory() as folder:
            for split, sentences in (("train", train), ("dev", dev)):
                docs: Iterable[Doc] = (
                    Doc(blank.vocab, words=list(s.words), ents=list(s.tags or ())) for s in sentences
                )
                path = Path(folder) / f"{split}.spacy"
                DocBin(docs=docs).to_disk(path)
                config["paths"][split] = str(path)
            with Path(os.devnull).open("w") as silent:
                run_training(init_nlp(config), Path(folder), stdout=silent, stderr=silent)
            nlp = spacy.load(Path(folder) / "model-best")

        def predict(sentences: Sequence[Sentence]) -> list[list[str]]:
            docs = nlp.pipe(Doc(nlp.vocab, words=list(s.words)) for s in sentences)
            return [[f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc] for doc in docs]

        nodes = (node for _, pipe in nlp.pipeline for node in pipe.model.walk())
        sizes = (node.get_param(name).size for node in nodes for name in node.param_names if node.has_param(name))
        return Trained(predict, sum(sizes), {"step": nlp.meta["performance"].get("step")})
