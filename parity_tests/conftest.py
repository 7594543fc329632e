import dataclasses

import pytest

from hybridner.config import ModelConfig, TrainingConfig
from hybridner.weights import initial_weights
from hybridner_flax.learner import Learner as FlaxLearner
from hybridner_torch.learner import Learner as TorchLearner

SMALL = ModelConfig(
    vocab_size=60, num_labels=5, hidden_size=32, num_heads=4, num_encoder_layers=2, max_length=64, dropout=0.0
)


@pytest.fixture(params=["lstm", "no lstm"])
def config(request):
    return dataclasses.replace(SMALL, use_lstm=request.param == "lstm")


@pytest.fixture
def make_twins():
    """Both learners, holding the same weights."""

    def make(config, seed=3, **options):
        options = TrainingConfig(**{"parallel": "jit", "dropout": config.dropout, **options})
        learners = FlaxLearner(config, options), TorchLearner(config, options)
        for learner in learners:
            learner.init(initial_weights(config, seed))
        return learners

    return make
