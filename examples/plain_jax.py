"""Fine-tune a saved model in your own training loop: the Flax module alone, with optax.

python examples/plain_jax.py runs/own-sentences
"""

import sys

import jax.numpy as jnp
import optax
from flax import nnx

import hybridner
from hybridner_flax import HybridNER
from hybridner_flax.canonical import load_weights

WORDS = ["Kelm", "is", "a", "friend", "of", "Carla", "."]
TAGS = ["B-PER", "O", "O", "O", "O", "B-PER", "O"]  # here Kelm is a person


def main(source: str) -> None:
    """Take twenty AdamW steps on one sentence and print the loss before and after."""
    tagger = hybridner.load(source, backend="flax")
    saved = tagger.model
    model = HybridNER(saved.config)
    load_weights(model, tagger.predictor.weights())

    # A word's first piece has its label; -1 marks the pieces without one.
    ids, labels = [saved.tokenizer.cls_id], [-1]
    for pieces, tag in zip(saved.tokenizer.encode_sentences([WORDS])[0], TAGS, strict=True):
        ids += pieces
        labels += [saved.labels.index(tag), *[-1] * (len(pieces) - 1)]
    input_ids = jnp.array([[*ids, saved.tokenizer.sep_id]])
    targets = jnp.array([[*labels, -1]])
    mask = jnp.ones_like(input_ids)

    def loss_fn(model: HybridNER) -> jnp.ndarray:
        losses = optax.softmax_cross_entropy_with_integer_labels(model(input_ids, mask), jnp.maximum(targets, 0))
        return losses.mean(where=targets >= 0)

    @nnx.jit
    def train_step(model: HybridNER, optimizer: nnx.Optimizer) -> jnp.ndarray:
        loss, gradients = nnx.value_and_grad(loss_fn)(model)
        optimizer.update(model, gradients)
        return loss

    optimizer = nnx.Optimizer(model, optax.adamw(1e-3), wrt=nnx.Param)
    losses = [float(train_step(model, optimizer)) for _ in range(20)]
    print(f"loss {losses[0]:.4f} before, {losses[-1]:.4f} after {len(losses)} steps")


if __name__ == "__main__":
    main(sys.argv[1])
