"""What a run is about to do: how much work there is, and a summary of it for people."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hybridner.batches.batch import epoch_order
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import Shape, ShapePlan
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.corpora.corpus import Corpus
from hybridner.model.learner import Learner
from hybridner.model.size import training_flops
from hybridner.model.weights import num_parameters

_SAMPLED_BATCHES = 50
_FORWARD_SHARE = 1 / 3  # of a training step's work; the backward pass is the rest


class Workload:
    """Steps, word pieces and floating-point operations of a run.

    Attributes:
        batches_per_epoch: steps of a whole epoch.
        total_steps: steps of the whole run.
        pieces: word pieces trained on in the whole run.
        flops: multiplications and additions of that, forward and backward.
    """

    def __init__(self, options: Options, config: ModelConfig, encoded: dict[str, Encoded], plan: ShapePlan) -> None:
        self._options, self._encoded, self._plan = options, encoded, plan
        self.batches_per_epoch = math.ceil(len(encoded["train"]) / options.optimization.batch_size)
        limit = options.optimization.epochs * self.batches_per_epoch
        self.total_steps = min(limit, options.optimization.max_steps or limit)
        lengths = encoded["train"].lengths.astype(np.float64)
        epochs = self.total_steps / self.batches_per_epoch
        self.pieces = round(epochs * lengths.sum())
        self.flops = epochs * training_flops(config, lengths)

    def sampled_shapes(self) -> tuple[Counter[Shape], int]:
        """Shapes of the first epoch's first batches, and the word pieces in them."""
        train, size = self._encoded["train"], self._options.optimization.batch_size
        order = epoch_order(len(train), self._options.optimization.seed, 0)[: size * _SAMPLED_BATCHES]
        batches = [train.lengths[order[first : first + size]] for first in range(0, len(order), size)]
        return Counter(self._plan.fit(lengths)[0] for lengths in batches), sum(int(b.sum()) for b in batches)

    def seconds_left(self, step: int, pieces_per_second: float) -> float:
        """Time from ``step`` to the end at that rate of training, scoring included."""
        left = (self.total_steps - step) / self.total_steps
        evaluations = math.ceil(self.total_steps / self.batches_per_epoch) * left
        scored = {name: int(split.lengths.sum()) for name, split in self._encoded.items() if name != "train"}
        pieces = left * self.pieces + _FORWARD_SHARE * (evaluations * scored["valid"] + scored.get("test", 0))
        return pieces / pieces_per_second


def summary(
    options: Options,
    corpus: Corpus,
    encoded: dict[str, Encoded],
    config: ModelConfig,
    learner: Learner,
    work: Workload,
    folder: Path,
) -> list[tuple[str, str]]:
    """Rows of a name and what is to be said of it."""
    reports = corpus.reports
    sizes = [f"{name} {report.sentences:,} sentences, {report.words:,} words" for name, report in reports.items()]
    schemes = {scheme: [n for n, r in reports.items() if r.scheme == scheme] for scheme in _schemes(corpus)}
    found = "; ".join(f"{scheme} in {_listed(names)}" for scheme, names in schemes.items())
    repairs = sum(report.repairs for report in reports.values())
    types = dict.fromkeys(label[2:] for label in corpus.labels[1:])
    cut = [f"{split.num_windowed:,} of {name}" for name, split in encoded.items() if split.num_windowed]
    shapes, pieces = work.sampled_shapes()
    area = sum(shape.rows * shape.length * count for shape, count in shapes.items())
    common = [f"{rows} × {length}" for (rows, length), _ in shapes.most_common()]
    return [
        ("data", f"{corpus.name}: {'; '.join(sizes)}"),
        ("labels", f"{len(corpus.labels)}: O, and B- and I- of {', '.join(types)}"),
        ("scheme", f"{found}; {repairs:,} tags repaired"),
        (
            "windows",
            f"sentences longer than {config.input.max_length:,} pieces that are cut: {', '.join(cut) or 'none'}",
        ),
        ("model", _model(config)),
        ("training", _training(options)),
        ("device", f"{learner.device}, {learner.spread}, {options.devices.dtype}"),
        (
            "batches",
            f"{options.optimization.batch_size} sentences, packed into rows × length of {_listed(common)}; "
            f"{pieces / area:.0%} of that are pieces",
        ),
        ("steps", f"{work.total_steps:,}, {work.batches_per_epoch:,} an epoch"),
        ("work", f"{work.pieces:,} pieces, {_flop(work.flops)}"),
        ("run", str(folder)),
    ]


def _model(config: ModelConfig) -> str:
    lstm = ", LSTM" if config.lstm is not None else ""
    return (
        f"{num_parameters(config):,} parameters: layers {config.encoder.num_layers}, "
        f"width {config.encoder.hidden_size}, heads {config.encoder.num_heads}{lstm}, "
        f"{config.input.vocab_size:,} word pieces"
    )


def _training(options: Options) -> str:
    parts = [
        f"learning rate {options.optimization.learning_rate:g} ({options.optimization.schedule})",
        f"weight decay {options.optimization.weight_decay:g}",
    ]
    if options.optimization.warmup_steps:
        parts.append(f"warm-up of {options.optimization.warmup_steps:,} steps")
    if options.optimization.clip_norm is not None:
        parts.append(f"gradients clipped at {options.optimization.clip_norm:g}")
    if options.devices.accumulate > 1:
        parts.append(f"each step in {options.devices.accumulate} parts")
    if options.optimization.average is not None:
        parts.append(f"weights averaged with {options.optimization.average:g}")
    return ", ".join([*parts, f"dropout {options.model.dropout:g}", f"seed {options.optimization.seed}"])


def _flop(count: float) -> str:
    unit, size = next((u, s) for u, s in (("P", 1e15), ("T", 1e12), ("G", 1e9)) if count >= s or u == "G")
    return f"{count / size:,.3g} {unit}FLOP"


def _schemes(corpus: Corpus) -> Iterable[str]:
    return dict.fromkeys(report.scheme for report in corpus.reports.values())


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
