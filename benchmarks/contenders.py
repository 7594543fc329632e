"""The contenders; ``benchmarks.serve`` runs each in a separate process.

A contender trains on the same sentences in every round: ``steps`` batches of 64 drawn at random from the train split.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hybridner.batches.batch import Batch, epoch_order, training_batches
from hybridner.batches.encoding import encode
from hybridner.batches.packing import ShapePlan
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.config.presets import make_options
from hybridner.corpora.corpus import Corpus
from hybridner.training.train import make_tokenizer, read_data

BATCH_SIZE, SEED, LEARNING_RATE = 64, 12, 3e-4


class Data:
    """The corpus as each contender sees it."""

    def __init__(self, data: str, tokenizer: str, steps: int) -> None:
        options = {"data": data, "tokenizer": tokenizer, "learning_rate": LEARNING_RATE, "seed": SEED}
        self.training: Options = make_options("original", **options)
        self.corpus: Corpus = read_data(self.training)
        words = make_tokenizer(self.training, self.corpus)
        self.config: ModelConfig = self.training.model.config(
            words.model_input(self.training.model.max_length), len(self.corpus.labels)
        )
        self.encoded = {
            name: encode(self.corpus.splits[name], words, self.corpus.labels, self.config.input.max_length)
            for name in ("train", "test")
        }
        self.order = epoch_order(len(self.encoded["train"]), SEED, 0)[: steps * BATCH_SIZE]
        self.steps = steps

    def pieces(self) -> int:
        """Count the real pieces of the training batches."""
        return int(self.encoded["train"].lengths[self.order].sum())

    def words(self) -> int:
        """Count the words of the test split."""
        return sum(len(sentence.words) for sentence in self.corpus.splits["test"])


class Loop:
    """The original's method: 64 random sentences padded to the longest, a Python loop over the steps."""

    def __init__(self, data: Data) -> None:
        import torch

        from benchmarks.loop import LoopTagger

        torch.manual_seed(0)
        self.data = data
        self.model = LoopTagger(data.config)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)

    def warm_up(self) -> dict[str, float]:
        """Compile everything before it is measured; return seconds by name."""
        self.train()
        return {}

    def train(self) -> None:
        """Train on the batches, and wait for the result."""
        from benchmarks.loop import padded, train_step

        self.model.train()
        encoded = self.data.encoded["train"]
        for first in range(0, len(self.data.order), BATCH_SIZE):
            examples = self.data.order[first : first + BATCH_SIZE]
            train_step(self.model, self.optimizer, *padded(encoded, examples, self.data.config.input.pad_token_id))

    def evaluate(self) -> None:
        """Tag the test split."""
        import torch

        from benchmarks.loop import padded

        self.model.eval()
        encoded = self.data.encoded["test"]
        with torch.no_grad():
            for first in range(0, len(encoded), BATCH_SIZE):
                examples = np.arange(first, min(first + BATCH_SIZE, len(encoded)))
                input_ids, mask, _ = padded(encoded, examples, self.data.config.input.pad_token_id)
                self.model(input_ids, mask).argmax(-1).tolist()


class Stock:
    """The Flax model from stock parts, padded like the loop."""

    def __init__(self, data: Data) -> None:
        from benchmarks.stock import StockTraining

        self.data, self.training = data, StockTraining(data.config)

    def warm_up(self) -> dict[str, float]:
        """Compile everything before it is measured; return seconds by name."""
        return {"train": seconds(self.train) - seconds(self.train)}

    def train(self) -> None:
        """Train on the batches, and wait for the result."""
        from benchmarks.loop import padded

        encoded, loss = self.data.encoded["train"], None
        for first in range(0, len(self.data.order), BATCH_SIZE):
            examples = self.data.order[first : first + BATCH_SIZE]
            batch = padded(encoded, examples, self.data.config.input.pad_token_id)
            loss = self.training.step(*(tensor.numpy() for tensor in batch))
        float(loss)  # type: ignore[arg-type]


class Twin:
    """A backend as its command trains it: sentences packed into rows of few shapes."""

    def __init__(self, data: Data, backend: str) -> None:
        from hybridner.model.twins import learner_class
        from hybridner.model.weights import initial_weights

        self.data = data
        self.learner = learner_class(backend)(data.config, data.training)  # type: ignore[arg-type]
        self.learner.init(initial_weights(data.config, SEED))
        self.plan = ShapePlan(data.encoded["train"].lengths, BATCH_SIZE, self.learner.row_multiple)
        self.ready = list(self._batches(0, data.steps))

    def _batches(self, epoch: int, number: int) -> Any:
        stream = training_batches(
            self.data.encoded["train"],
            self.plan,
            batch_size=BATCH_SIZE,
            seed=SEED,
            epoch=epoch,
            pad_token_id=self.data.config.input.pad_token_id,
        )
        yield from (batch for _, batch in zip(range(number), stream, strict=False))

    def warm_up(self) -> dict[str, float]:
        """Compile everything before it is measured; return seconds by name."""
        seen = set()
        training = 0.0
        for epoch in range(4):
            for batch in self._batches(epoch, 10**9):
                if batch.input_ids.shape not in seen:
                    seen.add(batch.input_ids.shape)
                    step = partial(self._run, [batch])
                    training += seconds(step) - seconds(step)
            if len(seen) >= len(self.plan.shapes):
                break
        return {"train": training, "evaluate": seconds(self.evaluate) - seconds(self.evaluate)}

    def _run(self, batches: Any) -> None:
        metrics = None
        for batch in batches:
            metrics = self.learner.step(batch, LEARNING_RATE)
        float(metrics.loss_sum)  # type: ignore[union-attr]

    def train(self) -> None:
        """Train on the batches, and wait for the result."""
        self._run(self._batches(0, self.data.steps))

    def steps_alone(self) -> None:
        """Train on prepared batches, and wait for the result."""
        self._run(self.ready)

    def evaluate(self) -> None:
        """Tag the test split."""
        from hybridner.tagging.decoding import bio_tags, decode_many
        from hybridner.tagging.inference import predict_parts
        from hybridner.tagging.lattice import constraint_transitions

        labels, pad_token_id = self.data.corpus.labels, self.data.config.input.pad_token_id
        for logits in predict_parts(self.learner, self.data.encoded["test"], pad_token_id):
            bio_tags(decode_many(logits, constraint_transitions(labels)), labels)

    def shapes(self) -> list[tuple[int, int]]:
        """Return the compiled shapes."""
        return [tuple(shape) for shape in self.plan.shapes]

    def real_share(self) -> float:
        """Return the share of real pieces among a whole epoch's computed positions."""
        batches: list[Batch] = list(self._batches(0, 10**9))
        return sum(b.num_pieces for b in batches) / sum(b.input_ids.size for b in batches)


def seconds(work: Callable[[], object]) -> float:
    """Time ``work``; its first call takes longer than its second by the time of compiling."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


CONTENDERS: dict[str, Callable[[Data], Any]] = {
    "loop": Loop,
    "stock": Stock,
    "torch": lambda data: Twin(data, "torch"),
    "flax": lambda data: Twin(data, "flax"),
}
