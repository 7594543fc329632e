"""The original's model in other sizes."""

from hybridner.config.model import original_model


def resized(config, **sizes):
    """Return ``config``, a setting of the original's model, with other ``sizes``."""
    now = {
        "vocab_size": config.input.vocab_size,
        "num_labels": config.num_labels,
        "hidden_size": config.encoder.hidden_size,
        "num_heads": config.encoder.num_heads,
        "num_encoder_layers": config.encoder.num_layers,
        "max_length": config.input.max_length,
        "pad_token_id": config.input.pad_token_id,
        "dropout": config.dropout,
        "use_lstm": config.lstm is not None,
    }
    return original_model(**{**now, **sizes})
