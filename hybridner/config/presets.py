"""Named sets of option values to start from."""

import math
from collections.abc import Mapping
from typing import Any

from hybridner.config.checks import nearest, typed
from hybridner.config.choices import PresetName
from hybridner.config.options import TYPES, DataOptions, Options, options_from
from hybridner.errors import InputError

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
    # The most accurate from scratch; results/accuracy has the measurements behind each value.
    "base": {
        "input": "words",
        "hidden_size": 192,
        "num_heads": 6,
        "num_encoder_layers": 2,
        "lstm": "bidirectional",
        "lstm_size": 200,
        "head": "crf",
        "dropout": 0.33,
        "encoder_dropout": 0.2,
        "attention_dropout": 0.1,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "decayed": "matrices",
        "beta2": 0.98,
        "schedule": "cosine",
        "clip_norm": 5.0,
        "average": 0.999,
    },
    # The original HybridNER's hyperparameters are the options' defaults.
    "original": {},
}


_FEWEST_EPOCHS, _MOST_EPOCHS = 4, 60
_LARGEST_WARMUP = 400


def preset_for(data: str) -> PresetName:
    """Choose the preset of a corpus for which none was named."""
    return "tiny" if data == "sample" else "original"


def sized(options: Options, explicit: set[str], num_sentences: int) -> Options:
    """Choose epochs, batch size and warm-up of the preset "base" by the size of the train split.

    A corpus of a quarter of the size gets twice the epochs: 10 at CoNLL-2003's 14,041 sentences, 31 at 1,443.

    Args:
        options: the options of a new run.
        explicit: names of the options that the user set; they stay.
        num_sentences: sentences of the train split.
    """
    if options.model.preset != "base":
        return options
    epochs = min(max(round(1185 / math.sqrt(num_sentences)), _FEWEST_EPOCHS), _MOST_EPOCHS)
    values = {"epochs": epochs, "batch_size": 16 if num_sentences < 4000 else 32}
    chosen = options.replace(**{name: value for name, value in values.items() if name not in explicit})
    if "warmup_steps" in explicit:
        return chosen
    steps = chosen.optimization.epochs * -(-num_sentences // chosen.optimization.batch_size)
    return chosen.replace(warmup_steps=min(_LARGEST_WARMUP, steps // 10))


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Check that every option exists and convert each value to its option's type.

    Raises:
        InputError: an option does not exist (the message names the nearest), or its value has another type.
    """
    values = dict(values)
    if "use_lstm" in values:  # runs of before 0.2 have it
        values["lstm"] = "forward" if typed("use_lstm", values.pop("use_lstm"), bool) else "none"
    for name in values:
        if name not in TYPES:
            raise InputError(f"unknown option {name!r}{nearest(str(name), list(TYPES))}")
    return {name: typed(name, value, TYPES[name]) for name, value in values.items()}


def make_options(preset: str | None = None, **values: Any) -> Options:
    """Make options from a preset and the values that differ from it.

    Args:
        preset: a preset; by default the one of the corpus.
        **values: options by the names that users type.

    Raises:
        InputError: an option or preset does not exist (the message names the nearest), or a value has another type
            or is out of its range.
    """
    values = checked(values)
    preset = preset or preset_for(values.get("data", DataOptions.data))
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}{nearest(preset, list(PRESETS))}")
    return options_from({"preset": preset, **PRESETS[preset], **values})
