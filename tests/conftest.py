from pathlib import Path

import pytest

from hybridner.config.model import original_model
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.labels import labels_of
from hybridner.model.weights import initial_weights
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel
from hybridner.text.tokenizer import train_tokenizer

TEXT = "The river Velmora is long . Anna Tarkin met the mayor of Dorst on Monday , they say ; who knows ?"


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer([Sentence(tuple(TEXT.split()))], 200)


@pytest.fixture(scope="session")
def model(tokenizer):
    """Make a small model with random weights, labels and a tokenizer."""
    labels = labels_of(["PER", "ORG", "LOC", "MISC"])
    config = original_model(
        vocab_size=tokenizer.vocab_size,
        num_labels=len(labels),
        hidden_size=32,
        num_encoder_layers=1,
        max_length=24,
        pad_token_id=tokenizer.pad_id,
    )
    return SavedModel(config, labels, tokenizer, initial_weights(config, 1), {"data": "sample", "seed": 1})


@pytest.fixture(scope="session")
def saved_model(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "saved"
    save_model(folder, model)
    return folder
