"""The options of a training run, in five groups, under the flat names that users type.

Precedence: default < preset < config file < command line. The command line, its help, config files and
``hybridner.train`` are made from these classes; each field's docstring is its help.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hybridner.config.checks import require
from hybridner.config.choices import (
    Decayed,
    Device,
    Dtype,
    Head,
    Input,
    LSTMChoice,
    Misaligned,
    OnNonfinite,
    Parallel,
    PresetName,
    Schedule,
)
from hybridner.config.model import (
    CRFHead,
    EncoderConfig,
    LSTMConfig,
    ModelConfig,
    PiecesInput,
    SoftmaxHead,
    WordsInput,
)

_RELATIVE_DISTANCE = 16

OnResume = Literal["fixed", "may grow", "may change", "changes rounding", "not kept"]
"""An option of a resumed run: it must stay, may only grow, may change, may change and costs bit-exactness, or
belongs to one call and is not part of the run."""


def option(default: Any, *, on_resume: OnResume = "fixed", in_card: bool = True) -> Any:
    """Declare a field with its default.

    Args:
        default: the value of an option that nobody set.
        on_resume: whether a resumed run may have another value.
        in_card: whether a model card lists a value that differs from the preset's.
    """
    return field(default=default, metadata={"on_resume": on_resume, "in_card": in_card})


def _at_least_1(options: Any, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        require(value is None or value >= 1, f"{name} must be at least 1, not {value}")


def _positive(options: Any, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        require(value is None or 0 < value < math.inf, f"{name} must be above 0 and finite, not {value}")


@dataclass(frozen=True)
class DataOptions:
    """The corpus, how its files are read, and the tokenizer."""

    data: str = option("sample", in_card=False)
    """"sample", a folder with train, dev and test files, "conll2003", or a Hub id."""
    word_column: int = 1
    """Column of the word in files of columns, counted from 1; -1 is the last."""
    tag_column: int = -1
    """Column of the tag, counted likewise."""
    comment: str = ""
    """Skip rows that begin with this, such as '#' in CoNLL-U."""
    misaligned: Misaligned = "error"
    """Treatment of spans of a text that cross word boundaries: an error, or dropped and counted."""
    data_license: str | None = option(None, on_resume="may change", in_card=False)
    """Licence of the data, such as CC-BY-4.0; the saved model's card names it."""
    tokenizer: str = "train"
    """"train" (WordPiece on the train split), a vocab.txt or tokenizer.json, or a Hub id."""
    lower_case: bool | None = None
    """Lower-case the text; by default only if the vocabulary has no upper-case piece."""
    vocab_size: int = 30522
    """Largest vocabulary of a tokenizer that is trained."""
    vectors: str | None = option(None, in_card=False)
    """Frozen vectors of words, for a model that reads words: GloVe or fastText text (.gz), or .npz, .npy with words."""
    vectors_license: str | None = option(None, on_resume="may change", in_card=False)
    """Licence of the vectors, such as PDDL; the saved model's card names it."""

    def __post_init__(self) -> None:
        _at_least_1(self, "vocab_size")


@dataclass(frozen=True)
class ModelOptions:
    """The model's parts and sizes."""

    preset: PresetName | None = option(None, in_card=False)
    """Values to start from; "tiny" for the sample corpus and "original" for all else."""
    input: Input = "pieces"
    """Units that the model reads: word pieces, as the original does, or words with shape, affixes and characters."""
    hidden_size: int = 256
    """Width of embeddings and encoder."""
    num_heads: int = 4
    """Attention heads; must divide the hidden size."""
    num_encoder_layers: int = 6
    """Transformer layers; those of a model that reads words have a LayerNorm first, GELU and relative positions."""
    lstm: LSTMChoice = "forward"
    """Direction of the LSTM between the encoder and the head."""
    lstm_size: int | None = None
    """Width of each of the LSTM's directions; by default the hidden size."""
    head: Head = "softmax"
    """Label each word by itself, or find the best sequence with a conditional random field."""
    max_length: int = 1024
    """Longest input in pieces or words; a longer sentence is cut into overlapping windows."""
    dropout: float = 0.1
    """Dropout probability, in steps of 1/256."""
    encoder_dropout: float | None = None
    """That of the Transformer layers, if it differs."""
    attention_dropout: float | None = None
    """That of the attention probabilities, if it differs."""

    def __post_init__(self) -> None:
        self.config(PiecesInput(2, max_length=self.max_length), num_labels=1 if self.head == "softmax" else 5)

    def config(self, model_input: PiecesInput | WordsInput, num_labels: int) -> ModelConfig:
        """Combine these options with the input and the number of labels, which the data decide."""
        reads_words = model_input.kind == "words"
        encoder = EncoderConfig(
            num_layers=self.num_encoder_layers,
            hidden_size=self.hidden_size,
            num_heads=self.num_heads,
            feed_forward_size=4 * self.hidden_size,
            activation="gelu" if reads_words else "relu",
            norm="pre" if reads_words else "post",
            relative_distance=_RELATIVE_DISTANCE if reads_words else 0,
            dropout=self.encoder_dropout,
            attention_dropout=self.attention_dropout,
        )
        lstm = None
        if self.lstm != "none":
            lstm = LSTMConfig(self.lstm, self.lstm_size, self.dropout if reads_words else 0.0, joins_input=reads_words)
        head = CRFHead() if self.head == "crf" else SoftmaxHead()
        return ModelConfig(num_labels, model_input, encoder, lstm, head, self.dropout)


@dataclass(frozen=True)
class OptimizationOptions:
    """The length of the training and the optimizer."""

    epochs: int = option(50, on_resume="may grow")
    """Passes over the train split."""
    max_steps: int | None = option(None, on_resume="may grow")
    """Stop after this many steps, in the middle of an epoch if need be."""
    batch_size: int = 64
    """Sentences a step averages over, on all devices together."""
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    decayed: Decayed = "all"
    """Parameters that decay: all, or matrices only, not biases, norms, transitions and relative positions."""
    beta2: float = 0.999
    """Decay of AdamW's second moment."""
    schedule: Schedule = "constant"
    """Learning-rate schedule after warm-up."""
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
    seed: int = option(12, in_card=False)
    """Decides initial weights, data order and dropout masks."""

    def __post_init__(self) -> None:
        _at_least_1(self, "epochs", "max_steps", "batch_size", "patience")
        for name in ("weight_decay", "warmup_steps", "seed"):
            require(getattr(self, name) >= 0, f"{name} must not be negative, not {getattr(self, name)}")
        _positive(self, "learning_rate", "clip_norm")
        require(0 <= self.beta2 < 1, f"beta2 must be at least 0 and below 1, not {self.beta2}")
        require(
            self.average is None or 0 < self.average < 1, f"average must be above 0 and below 1, not {self.average}"
        )
        require(math.isfinite(self.weight_decay), f"weight_decay must be finite, not {self.weight_decay}")

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Compute the learning rate of step ``step`` (from 0) of ``total_steps``: both backends receive this number."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = min(1.0, (step - self.warmup_steps) / max(1, total_steps - self.warmup_steps))
        if self.schedule == "linear":
            return self.learning_rate * (1 - progress)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate


@dataclass(frozen=True)
class RunOptions:
    """The run's folder, checkpoints and log."""

    output: Path | None = option(None, on_resume="not kept", in_card=False)
    """Folder of the run; runs/{data}-{preset}-{backend} by default, numbered if taken."""
    resume: bool = option(False, on_resume="not kept", in_card=False)
    """Resume the run in the output folder."""
    overwrite: bool = option(False, on_resume="not kept", in_card=False)
    """Replace the run in the output folder."""
    verbose: bool = option(False, on_resume="not kept", in_card=False)
    """Print batch shapes, operations and rates, too."""
    allow_changed_data: bool = option(False, on_resume="not kept", in_card=False)
    """Resume although the data have changed since the checkpoint."""
    log_every: int = option(50, in_card=False)
    """Steps between two lines of training loss in metrics.jsonl."""
    checkpoint_every: int | None = option(None, on_resume="may change", in_card=False)
    """Steps between two checkpoints within an epoch; each epoch ends with one anyway."""
    checkpoint_minutes: float = option(10.0, on_resume="may change", in_card=False)
    """Longest time between two checkpoints within an epoch, in minutes; inf for no limit."""
    keep_checkpoints: int = option(2, on_resume="may change", in_card=False)
    """Number of newest checkpoints to keep; that of the best epoch is kept too."""
    on_nonfinite: OnNonfinite = option("stop", on_resume="may change", in_card=False)
    """Reaction to a loss or gradient that is infinite or NaN: stop, or skip that step and count it."""

    def __post_init__(self) -> None:
        _at_least_1(self, "log_every", "keep_checkpoints", "checkpoint_every")
        require(self.checkpoint_minutes > 0, f"checkpoint_minutes must be above 0, not {self.checkpoint_minutes}")
        require(not (self.resume and self.overwrite), "resume and overwrite exclude each other")


@dataclass(frozen=True)
class DeviceOptions:
    """The devices and processes that compute, and the type they compute in."""

    dtype: Dtype = option("float32", in_card=False)
    """Type of the computation; weights stay float32 under bfloat16."""
    device: Device = option("auto", on_resume="changes rounding", in_card=False)
    """Device to compute on."""
    parallel: Parallel = option("auto", on_resume="changes rounding", in_card=False)
    """Flax's way to use devices: jit (one), pmap (one host), mesh (any number of hosts)."""
    num_devices: int | None = option(None, on_resume="changes rounding", in_card=False)
    """Use only the first N devices."""
    accumulate: int = option(1, on_resume="changes rounding", in_card=False)
    """Compute a step's sentences in this many parts, one after the other, to save memory."""
    deterministic: bool = option(False, on_resume="changes rounding", in_card=False)
    """On a GPU, use only kernels that give the same bits each time; on a CPU all do."""
    coordinator: str | None = option(None, on_resume="not kept", in_card=False)
    """HOST:PORT of process 0, where several hosts do not find each other by themselves."""
    num_processes: int | None = option(None, on_resume="not kept", in_card=False)
    """Number of processes, with --coordinator."""
    process_id: int | None = option(None, on_resume="not kept", in_card=False)
    """Number of this process, with --coordinator."""
    join_timeout: float = option(300.0, on_resume="not kept", in_card=False)
    """Seconds to wait for the other processes."""

    def __post_init__(self) -> None:
        _at_least_1(self, "accumulate", "num_devices")
        _positive(self, "join_timeout")


@dataclass(frozen=True)
class Options:
    """Train a named-entity tagger; without any option, one for the sample corpus in about a minute."""

    data: DataOptions = DataOptions()
    model: ModelOptions = ModelOptions()
    optimization: OptimizationOptions = OptimizationOptions()
    run: RunOptions = RunOptions()
    devices: DeviceOptions = DeviceOptions()

    def __post_init__(self) -> None:
        require(
            self.devices.accumulate <= self.optimization.batch_size,
            f"accumulate {self.devices.accumulate} is more parts than batch_size {self.optimization.batch_size} has "
            "sentences",
        )

    def flat(self) -> dict[str, Any]:
        """Return all options by the names that users type."""
        return {name: getattr(getattr(self, group), name) for name, group in GROUP_OF.items()}

    def replace(self, **values: Any) -> "Options":
        """Return these options with other ``values``, given by the names that users type."""
        return options_from({**self.flat(), **values})


def options_from(values: dict[str, Any]) -> Options:
    """Make options from values by the names that users type; the others have their defaults.

    Raises:
        InputError: a value is out of its range.
    """
    return Options(
        **{
            group: make(**{name: value for name, value in values.items() if GROUP_OF[name] == group})
            for group, make in _GROUPS.items()
        }
    )


_GROUPS: dict[str, Any] = {group.name: group.type for group in dataclasses.fields(Options)}
FIELDS = {one.name: one for group in _GROUPS.values() for one in dataclasses.fields(group)}
"""The field of each option, by the name that users type."""
GROUP_OF = {one.name: name for name, group in _GROUPS.items() for one in dataclasses.fields(group)}
"""The group of each option."""
TYPES: dict[str, Any] = {
    name: hint for group in _GROUPS.values() for name, hint in typing.get_type_hints(group).items()
}
"""The type of each option."""


def names_with(on_resume: OnResume) -> set[str]:
    """Return the options whose value a resumed run treats in this way."""
    return {name for name, one in FIELDS.items() if one.metadata.get("on_resume", "fixed") == on_resume}
