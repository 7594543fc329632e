"""Speed of tagging text with both backends: ``python -m benchmarks.predict MODEL --input FILE``.

``predict`` tags all texts at once, as the command does; ``tag`` calls the tagger with one text at a time; ``loop`` runs
the original's model, a Python loop over the LSTM's steps, on one sentence at a time and only takes the argmax of its
logits. Words are those that the tagger splits.
"""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts
import torch

from benchmarks.loop import LoopTagger
from hybridner.cli.output import write_json
from hybridner.model.twins import BACKENDS, versions
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.tagging.inputs import read_texts
from hybridner.tagging.tagger import Tagger
from hybridner.text.words import SplitText, split_text


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Measure words per second of tagging the texts of a file."""

    model: str
    """A run, or a model folder of either framework."""
    input: Path
    """The texts, as for hybridner predict."""
    rounds: int = 5
    """Rounds that measure each contender once, one after the other; the report gives the median."""
    one_by_one: int = 200
    """Texts, taken evenly from the file, to tag one by one in a round."""
    device: str = "cpu"
    """Where to compute."""
    json: Path | None = None
    """Also write the table to this file."""


def loop_contender(model: SavedModel, texts: list[SplitText]) -> Callable[[], int]:
    """Run the baseline, one sentence at a time; return the number of words tagged."""
    assert model.tokenizer is not None, "a trained model has its tokenizer"
    tokenizer = model.tokenizer
    tagger = LoopTagger(model.config).eval()
    tagger.load_state_dict({name: torch.from_numpy(value) for name, value in model.weights.items()})

    def run() -> int:
        words = 0
        with torch.inference_mode():
            for text in texts:
                for sentence in split_text(text.text).sentences:
                    (pieces,) = tokenizer.encode_sentences([[word.text for word in sentence]])
                    ids = [tokenizer.cls_id, *(piece for word in pieces for piece in word), tokenizer.sep_id]
                    input_ids = torch.tensor([ids[: model.config.input.max_length]])
                    tagger(input_ids, torch.ones_like(input_ids)).argmax(-1).tolist()
                    words += len(sentence)
        return words

    return run


def contenders(options: Options, texts: list[str]) -> dict[str, Callable[[], int]]:
    """Make the contenders: each tags its texts once and returns their number of words."""
    model = open_model(options.model)
    few = texts[:: max(1, len(texts) // options.one_by_one)][: options.one_by_one]
    words = sum(len(sentence) for text in few for sentence in split_text(text).sentences)
    found: dict[str, Callable[[], int]] = {"loop": loop_contender(model, [split_text(text) for text in few])}
    for backend in BACKENDS:
        tagger = Tagger(model, backend, device=options.device)

        def one_by_one(tagger: Tagger = tagger) -> int:
            for text in few:
                tagger.tag(text)
            return words

        def at_once(tagger: Tagger = tagger) -> int:
            return sum(len(tagged.words) for tagged in tagger.tag_texts(texts))

        found[f"{backend} tag"], found[f"{backend} predict"] = one_by_one, at_once
    return found


def main(options: Options) -> None:
    """Measure, print the table and write the JSON."""
    records = read_texts([options.input])
    texts = [record.text if isinstance(record.text, str) else record.text.text for record in records]
    runs = contenders(options, texts)
    first = {}
    for name, run in runs.items():  # compile, and fill the tokenizer's cache
        begun = time.perf_counter()
        run()
        first[name] = time.perf_counter() - begun
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            words = run()
            rates[name].append(words / (time.perf_counter() - begun))
    median = {name: statistics.median(values) for name, values in rates.items()}
    table: list[dict[str, Any]] = []
    for name, values in rates.items():
        backend = name.split()[0]
        row = {
            "contender": name,
            "words_per_second": round(median[name], 1),
            "all_rounds": [round(value, 1) for value in values],
            "times_loop": round(median[name] / median["loop"], 2),
            "first_run_seconds": round(first[name], 1),
        }
        if name.endswith("predict"):
            row["times_tag"] = round(median[name] / median[f"{backend} tag"], 2)
        table.append(row)
        print(
            f"{name:14} {median[name]:9,.0f} words/s {row['times_loop']:6.2f} x loop"
            + (f" {row['times_tag']:6.2f} x tag one by one" if "times_tag" in row else "")
        )
    report = {
        "what": "tagging text, float32, words per second, median of rounds",
        "model": options.model,
        "input": options.input.name,
        "texts": len(texts),
        "words": sum(len(sentence) for text in texts for sentence in split_text(text).sentences),
        "texts_one_by_one": min(options.one_by_one, len(texts)),
        "device": options.device,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}",
        "versions": {name: value for backend in BACKENDS for name, value in versions(backend).items()},
        "table": table,
    }
    if options.json is not None:
        write_json(options.json, report)


if __name__ == "__main__":
    cyclopts.run(main)
