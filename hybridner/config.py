"""What a model is and how it is trained, as frozen dataclasses; presets; validation.

Precedence: default < preset < config file < command line.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hybridner.errors import InputError

Dtype = Literal["float32", "bfloat16", "float64"]
Device = Literal["auto", "cpu", "cuda", "tpu", "mps"]
Parallel = Literal["auto", "jit", "pmap", "mesh"]
Schedule = Literal["constant", "linear", "cosine"]
PresetName = Literal["tiny", "original"]
Misaligned = Literal["error", "drop"]
OnNonfinite = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that decides a model's tensors and its forward pass.

    Attributes:
        vocab_size: number of word pieces.
        num_labels: number of classes of the classifier.
        hidden_size: width H of embeddings, encoder and LSTM.
        num_heads: attention heads; must divide ``hidden_size``.
        num_encoder_layers: Transformer layers.
        max_length: longest input in pieces, special ones included; rows of the position table.
        pad_token_id: the piece whose embedding gets no gradient.
        dropout: probability of dropping, at every place that drops; rounded to the nearest 1/256.
        use_lstm: whether the LSTM stands between the encoder and the classifier.

    Raises:
        InputError: a size is below 1, ``num_heads`` does not divide ``hidden_size``, …
    """

    vocab_size: int
    num_labels: int
    hidden_size: int = 256
    num_heads: int = 4
    num_encoder_layers: int = 6
    max_length: int = 1024
    pad_token_id: int = 0
    dropout: float = 0.1
    use_lstm: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_labels", "hidden_size", "num_heads", "num_encoder_layers"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}",
        )
        require(self.hidden_size % 2 == 0, f"hidden_size must be even, not {self.hidden_size}")
        require(self.max_length >= 3, f"max_length must be at least 3, not {self.max_length}")
        require(0 <= self.dropout < 1, f"dropout must be at least 0 and below 1, not {self.dropout}")
        require(
            0 <= self.pad_token_id < self.vocab_size,
            f"pad_token_id {self.pad_token_id} is outside the vocabulary of {self.vocab_size}",
        )


@dataclass(frozen=True)
class TrainingConfig:
    """Train a named-entity tagger; without any option, one for the sample corpus in about a minute."""

    # The command line and its help are made from this class: tyro shows these docstrings.

    data: str = "sample"
    """"sample", a folder with train, valid and test files, "conll2003", or a Hub id."""
    preset: PresetName | None = None
    """Values to start from; "tiny" for the sample corpus and "original" for all else."""
    tokenizer: str = "train"
    """"train" (WordPiece on the train split), a vocab.txt or tokenizer.json, or a Hub id."""
    lower_case: bool | None = None
    """Lower-case the text; by default only if the vocabulary has no upper-case piece."""
    vocab_size: int = 30522
    """Most pieces of a tokenizer that is trained."""
    word_column: int = 1
    """Column of the word in files of columns, counted from 1; -1 is the last."""
    tag_column: int = -1
    """Column of the tag, counted likewise."""
    comment: str = ""
    """What rows begin with that are left out, such as '#' in CoNLL-U."""
    misaligned: Misaligned = "error"
    """What becomes of spans of a text that do not fall on word boundaries: an error, or left out and counted."""
    data_license: str | None = None
    """What the data come under, such as CC-BY-4.0: stated in the saved model's card."""

    hidden_size: int = 256
    """Width of embeddings, encoder and LSTM."""
    num_heads: int = 4
    """Attention heads; must divide the hidden size."""
    num_encoder_layers: int = 6
    """Transformer layers."""
    use_lstm: bool = True
    """Put the LSTM between the encoder and the classifier."""
    max_length: int = 1024
    """Longest input in pieces; a longer sentence is cut into overlapping windows."""
    dropout: float = 0.1
    """Probability of dropping, in steps of 1/256."""

    epochs: int = 50
    """Passes over the train split."""
    max_steps: int | None = None
    """Stop after this many steps, in the middle of an epoch if need be."""
    batch_size: int = 64
    """Sentences a step averages over, on all devices together."""
    accumulate: int = 1
    """Parts in which a step computes its sentences, one after the other, to save memory."""
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on every parameter."""
    schedule: Schedule = "constant"
    """Course of the learning rate after the warm-up."""
    warmup_steps: int = 0
    """Steps in which the learning rate grows linearly from 0 to its peak."""
    clip_norm: float | None = None
    """Largest global norm of the gradient; a larger one is scaled down."""
    average: float | None = None
    """Score and save an exponential moving average of the weights with this decay, such as 0.999."""
    patience: int | None = None
    """Stop after this many epochs without a better dev F1."""
    target_f1: float | None = None
    """Stop at the first epoch whose dev F1 reaches this."""
    seed: int = 12
    """Decides initial weights, data order and dropout masks."""

    log_every: int = 50
    """Steps between two lines of training loss in metrics.jsonl."""
    checkpoint_every: int | None = None
    """Steps between two checkpoints within an epoch; there is one at the end of each epoch anyway."""
    checkpoint_minutes: float = 10.0
    """Most minutes between two checkpoints within an epoch; inf for none."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept; that of the best epoch is kept too."""
    on_nonfinite: OnNonfinite = "stop"
    """At a loss or gradient that is infinite or not a number: stop, or skip that step and count it."""
    output: Path | None = None
    """Folder of the run; runs/{data}-{preset}-{backend} by default, numbered if taken."""
    resume: bool = False
    """Go on with the run in the output folder."""
    overwrite: bool = False
    """Replace the run in the output folder."""

    dtype: Dtype = "float32"
    """Type of the computation; weights stay float32 under bfloat16."""
    device: Device = "auto"
    """Where to compute."""
    parallel: Parallel = "auto"
    """How Flax spreads over devices: jit (one), pmap (one host), mesh (any number of hosts)."""
    deterministic: bool = False
    """On a GPU, compute with kernels alone that give the same bits each time; on a CPU they all do."""
    num_devices: int | None = None
    """Use only the first N devices."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where several hosts do not find each other by themselves."""
    num_processes: int | None = None
    """Number of processes, with --coordinator."""
    process_id: int | None = None
    """Number of this process, with --coordinator."""
    join_timeout: float = 300.0
    """Seconds to wait for the other processes."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "vocab_size", "log_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("max_steps", "patience", "checkpoint_every", "num_devices"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} must be at least 1, not {value}")
        for name in ("weight_decay", "warmup_steps", "seed"):
            require(getattr(self, name) >= 0, f"{name} must not be negative, not {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm", "join_timeout"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, f"{name} must be above 0 and finite, not {value}")
        require(self.checkpoint_minutes > 0, f"checkpoint_minutes must be above 0, not {self.checkpoint_minutes}")
        require(
            self.accumulate <= self.batch_size,
            f"accumulate {self.accumulate} is more parts than batch_size {self.batch_size} has sentences",
        )
        require(
            self.average is None or 0 < self.average < 1, f"average must be above 0 and below 1, not {self.average}"
        )
        require(math.isfinite(self.weight_decay), f"weight_decay must be finite, not {self.weight_decay}")
        require(not (self.resume and self.overwrite), "resume and overwrite exclude each other")
        self.model(vocab_size=max(self.vocab_size, 2), num_labels=1, pad_token_id=0)

    def model(self, vocab_size: int, num_labels: int, pad_token_id: int) -> ModelConfig:
        """The model these options describe, with the sizes that the data decide."""
        return ModelConfig(
            vocab_size=vocab_size,
            num_labels=num_labels,
            hidden_size=self.hidden_size,
            num_heads=self.num_heads,
            num_encoder_layers=self.num_encoder_layers,
            max_length=self.max_length,
            pad_token_id=pad_token_id,
            dropout=self.dropout,
            use_lstm=self.use_lstm,
        )

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Learning rate of step ``step`` (from 0) out of ``total_steps``: both twins are handed this number."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = min(1.0, (step - self.warmup_steps) / max(1, total_steps - self.warmup_steps))
        if self.schedule == "linear":
            return self.learning_rate * (1 - progress)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate


PRESETS: dict[str, dict[str, Any]] = {
    # Sized for the sample corpus and a minute on two CPU cores.
    "tiny": {
        "vocab_size": 2000,
        "hidden_size": 128,
        "num_encoder_layers": 2,
        "max_length": 256,
        "epochs": 10,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "schedule": "linear",
        "warmup_steps": 200,
    },
    # The original HybridNER's hyperparameters are the class's defaults.
    "original": {},
}


def preset_for(data: str) -> PresetName:
    """The preset of a corpus for which none was named."""
    return "tiny" if data == "sample" else "original"


def training_config(preset: str | None = None, **values: Any) -> TrainingConfig:
    """A training config from a preset and the values that differ from it.

    Raises:
        InputError: an option or preset that does not exist (the message names the nearest), or a value
            out of its range.
    """
    names = [field.name for field in dataclasses.fields(TrainingConfig)]
    for name in values:
        if name not in names:
            raise InputError(f"unknown option {name!r}{nearest(name, names)}")
    preset = preset or preset_for(values.get("data", TrainingConfig.data))
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}{nearest(preset, list(PRESETS))}")
    return TrainingConfig(**{"preset": preset, **PRESETS[preset], **values})


def nearest(name: str, names: list[str]) -> str:
    """The words "; did you mean …?" if one of ``names`` is like ``name``, else a list of them all."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def require(condition: bool, message: str) -> None:
    """Raise an :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)
