"""The training options as keyword arguments, so that a type checker and an editor know them."""

from pathlib import Path
from typing import TypedDict

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


class TrainOptions(TypedDict, total=False):
    """The options of :func:`hybridner.train`; :mod:`hybridner.config.options` documents each."""

    data: str | Path
    word_column: int
    tag_column: int
    comment: str
    misaligned: Misaligned
    data_license: str | None
    tokenizer: str | Path
    lower_case: bool | None
    vocab_size: int
    vectors: str | Path | None
    vectors_license: str | None
    preset: PresetName | None
    input: Input
    hidden_size: int
    num_heads: int
    num_encoder_layers: int
    lstm: LSTMChoice
    lstm_size: int | None
    head: Head
    max_length: int
    dropout: float
    encoder_dropout: float | None
    attention_dropout: float | None
    epochs: int
    max_steps: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    decayed: Decayed
    beta2: float
    schedule: Schedule
    warmup_steps: int
    clip_norm: float | None
    average: float | None
    patience: int | None
    target_f1: float | None
    seed: int
    output: str | Path | None
    resume: bool
    overwrite: bool
    verbose: bool
    allow_changed_data: bool
    log_every: int
    checkpoint_every: int | None
    checkpoint_minutes: float
    keep_checkpoints: int
    on_nonfinite: OnNonfinite
    dtype: Dtype
    device: Device
    parallel: Parallel
    num_devices: int | None
    accumulate: int
    deterministic: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None
    join_timeout: float
