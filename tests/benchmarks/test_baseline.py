"""The benchmarks' baseline computes the same numbers as both versions."""

import numpy as np
import torch

from benchmarks.loop import LoopTagger
from hybridner.config.model import original_model
from hybridner.model.weights import initial_weights
from hybridner.parity.samples import random_batch
from hybridner_torch import HybridNER


def test_loop_has_the_canonical_names_and_the_same_logits():
    config = original_model(vocab_size=50, num_labels=5, hidden_size=32, num_encoder_layers=2, max_length=32)
    weights = initial_weights(config, 4)
    loop = LoopTagger(config).eval()
    loop.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    batch = random_batch(config, [5, 9, 3], 1)
    ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
    with torch.no_grad():
        a, b = loop(ids.long(), mask).numpy(), HybridNER(config, seed=4)(ids, mask).numpy()
    here = batch.attention_mask != 0
    assert np.linalg.norm(a[here] - b[here]) <= 2e-6 * np.linalg.norm(b[here])
