"""One model in both frameworks, word by word: ``python -m benchmarks.same_tags MODEL --data DIR``.

The tags of two roundings of the same logits differ only where two valid sequences are almost tied; the report lists
each such word with both frameworks' logits.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cyclopts import Parameter, run

from hybridner.batches.encoding import encode
from hybridner.cli.output import write_json
from hybridner.corpora.read import read_corpus
from hybridner.evaluation.scoring import score
from hybridner.model.twins import BACKENDS
from hybridner.parity.errors import relative_error
from hybridner.saved.open import open_model
from hybridner.tagging.decoding import bio_tags, decode_many
from hybridner.tagging.inference import predict_words
from hybridner.tagging.tagger import Tagger


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Compare Flax's and PyTorch's tag of every word of a split."""

    model: str
    """A run, or a model folder of either framework."""
    data: str
    """A corpus as for training."""
    splits: tuple[str, ...] = ("valid", "test")
    """The splits to compare on."""
    json: Path | None = None
    """Also write the result to this file, without any text of the corpus."""


def compare(options: Options, split: str) -> dict[str, Any]:
    """Return each framework's counts, the largest error of the logits, and the words on which the frameworks differ."""
    sentences = read_corpus(options.data, require_train=False, splits=(split,)).splits[split]
    gold = [sentence.tags or () for sentence in sentences]
    model = open_model(options.model)
    assert model.tokenizer is not None, "a trained model has its tokenizer"
    encoded = encode(sentences, model.tokenizer, model.labels, model.config.input.max_length)
    logits, tags, counts = {}, {}, {}
    for backend in BACKENDS:
        tagger = Tagger(model, backend)
        found = predict_words(tagger.predictor, encoded, model.config.input.pad_token_id)
        numbers = decode_many(found, tagger.transitions)
        scores = score(gold, bio_tags(numbers, model.labels))
        logits[backend], tags[backend] = np.concatenate(found), np.concatenate(numbers)
        counts[backend] = {name: getattr(scores, name) for name in ("correct", "predicted", "gold", "f1")}
    a, b = (logits[backend] for backend in BACKENDS)
    differing = np.flatnonzero(np.not_equal(*(tags[backend] for backend in BACKENDS)))
    return {
        "split": split,
        "words": len(a),
        "counts": counts,
        "logits_relative_error_in_norm": relative_error(a, b),
        "words_tagged_differently": len(differing),
        "ties": [{"word": int(i), **{backend: logits[backend][i].tolist() for backend in BACKENDS}} for i in differing],
    }


def main(options: Options) -> None:
    """Compare on each split, print and write the result."""
    report = [compare(options, split) for split in options.splits]
    print(json.dumps(report, indent=2))
    if options.json is not None:
        write_json(options.json, report)


if __name__ == "__main__":
    run(main)
