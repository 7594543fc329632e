"""HybridNER's presets, trained as ``hybridner train`` does."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy.systems import Trained
from hybridner.config.options import TYPES
from hybridner.config.presets import make_options
from hybridner.corpora.corpus import Sentence
from hybridner.model.twins import Backend, choose_backend, versions

_TITLES = {"flax": "Flax", "torch": "PyTorch"}


class Preset:
    """A preset, with the options that differ from it: ``base``, ``base+head=softmax``, ``base+vectors=FILE``.

    Attributes:
        unknown: names of options that this version of HybridNER does not have.

    Raises:
        InputError: there is no such preset, or a value does not fit its option.
    """

    is_seeded = True

    def __init__(self, name: str, backend: Backend) -> None:
        self.backend = choose_backend(backend)
        preset, *changes = name.split("+")
        pairs = [change.partition("=") for change in changes]
        self._options: dict[str, Any] = {option: _value(text) for option, _, text in pairs}
        self.unknown = [option for option in self._options if option not in TYPES]
        if not self.unknown:
            make_options(preset, **self._options)
        self._options["preset"] = preset
        shown = [f"{option}={Path(text).name}" for option, _, text in pairs]
        self.name = f"{'+'.join([preset, *shown])} ({_TITLES[self.backend]})"
        self.about = f"`hybridner train --preset {preset}`" + (f" with {', '.join(shown)}" if shown else "")
        self.about += "; dev chooses the epoch"
        self.versions = versions(self.backend)

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], seed: int) -> Trained:
        """Run the command on files of these sentences, and open the best model."""
        from hybridner.cli.train import train as run_command

        known = {tag for sentence in train for tag in sentence.tags or ()}
        types = {tag[2:] for tag in known - {"O"}}
        with tempfile.TemporaryDirectory() as folder:
            data, output = Path(folder) / "data", Path(folder) / "run"
            data.mkdir()
            _write(data / "train.jsonl", train)
            _write(data / "valid.jsonl", [_without_other_types(sentence, types) for sentence in dev])
            run_command(backend=self.backend, data=str(data), output=output, seed=seed, **self._options)
            return _open(output, self.backend)


def _value(text: str) -> Any:
    """Read a number or a truth value; any other text is itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _write(path: Path, sentences: Sequence[Sentence]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for sentence in sentences:
            record = {"words": sentence.words, "tags": sentence.tags, "document": sentence.document}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _without_other_types(sentence: Sentence, types: set[str]) -> Sentence:
    """Take out entities of types that a small train split lacks: no model learns them, and training refuses them."""
    return replace(sentence, tags=tuple(tag if tag[2:] in types else "O" for tag in sentence.tags or ()))


def _open(run: Path, backend: Backend) -> Trained:
    from hybridner.saved.open import open_model
    from hybridner.tagging.decoding import bio_tags, decode_many
    from hybridner.tagging.inference import predict_words
    from hybridner.tagging.tagger import Tagger

    model = open_model(run)
    tagger = Tagger(model, backend)

    def predict(sentences: Sequence[Sentence]) -> list[list[str]]:
        logits = predict_words(tagger.predictor, tagger.encode(sentences), model.config.input.pad_token_id)
        return bio_tags(decode_many(logits, tagger.transitions), model.labels)

    chosen = {name: model.provenance[name] for name in ("epoch", "step")}
    return Trained(predict, sum(weight.size for weight in model.weights.values()), chosen)
