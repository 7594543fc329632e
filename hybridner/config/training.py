"""What a model is and how it is trained, as frozen dataclasses; presets; validation.

Precedence: default < preset < config file < command line.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from hybridner.config.checks import require
from hybridner.config.choices import Device, Dtype, Misaligned, OnNonfinite, Parallel, PresetName, Schedule
from hybridner.config.model import ModelConfig


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
