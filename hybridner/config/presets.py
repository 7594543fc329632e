"""Named sets of option values to start from."""

import dataclasses
from typing import Any

from hybridner.config.checks import nearest
from hybridner.config.choices import PresetName
from hybridner.config.training import TrainingConfig
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
