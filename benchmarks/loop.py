"""The baseline ``loop``: the original HybridNER's training, in plain PyTorch.

It pads 64 random sentences to the longest, computes three projections, runs the recurrence as a Python loop over the
steps with the input projection inside, uses PyTorch's dropout and AdamW, and reads the loss at each step. It accepts
the same canonical weights and, without dropout, computes the same numbers.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridner.batches.encoding import IGNORED, Encoded
from hybridner.config.model import ModelConfig
from hybridner.model.weights import position_table


class Layer(nn.Module):
    """A post-LN encoder layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.encoder.hidden_size
        self.num_heads, self.rate = config.encoder.num_heads, config.dropout
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(hidden, hidden) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        )
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.fc1, self.fc2 = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        self.final_layer_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the layer on ``x [batch, length, hidden]`` with a mask of 1 for pieces."""
        batch, length, hidden = x.shape
        d_head = hidden // self.num_heads
        q, k, v = (
            self.self_attn[name](x).view(batch, length, self.num_heads, d_head).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        scores = (q * d_head**-0.5) @ k.transpose(2, 3)
        scores = scores.masked_fill(mask[:, None, None] == 0, -math.inf)
        context = F.dropout(scores.softmax(-1), self.rate, self.training) @ v
        attended = self.self_attn["out_proj"](context.transpose(1, 2).reshape(batch, length, hidden))
        x = self.self_attn_layer_norm(x + F.dropout(attended, self.rate, self.training))
        inner = F.dropout(F.relu(self.fc1(x)), self.rate, self.training)
        return self.final_layer_norm(x + F.dropout(self.fc2(inner), self.rate, self.training))


class Encoder(nn.Module):
    """LayerNorm of the embedding, then the layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding_layer_norm = nn.LayerNorm(config.encoder.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.encoder.num_layers))


class LoopTagger(nn.Module):
    """The tagger from stock parts, with the canonical parameter names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.encoder.hidden_size
        self.config = config
        self.transformer_encoder = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(config.input.vocab_size, hidden, padding_idx=config.input.pad_token_id),
                "encoder": Encoder(config),
            }
        )
        self.lstm = nn.ModuleDict({name: nn.Linear(hidden, 4 * hidden) for name in ("linear_ih", "linear_hh")})
        self.classifier = nn.Linear(hidden, config.num_labels)
        table = position_table(config.input.max_length, config.encoder.hidden_size)
        self.register_buffer("positions", torch.tensor(table, dtype=torch.float32), persistent=False)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits ``[batch, length, num_labels]``."""
        encoder = self.transformer_encoder["encoder"]
        x = self.transformer_encoder["embed_tokens"](input_ids) + self.positions[: input_ids.shape[1]]
        x = encoder.embedding_layer_norm(x)
        for layer in encoder.layers:
            x = layer(x, mask)
        h = c = x.new_zeros(x.shape[0], x.shape[2])
        outputs = []
        for t in range(x.shape[1]):
            gates = self.lstm["linear_ih"](x[:, t]) + self.lstm["linear_hh"](h)
            i, f, g, o = gates.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        x = torch.stack(outputs, dim=1)
        return self.classifier(F.dropout(x, self.config.dropout, self.training))


def padded(encoded: Encoded, examples: np.ndarray, pad_token_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``input_ids``, ``attention_mask`` and ``labels`` of a batch padded to its longest sentence."""
    longest = int(encoded.lengths[examples].max())
    input_ids = np.full((len(examples), longest), pad_token_id, np.int64)
    mask, labels = np.zeros_like(input_ids), np.full_like(input_ids, IGNORED)
    for row, example in enumerate(examples):
        ids, label_ids = encoded.example(example)
        input_ids[row, : len(ids)], labels[row, : len(ids)] = ids, label_ids
        mask[row, : len(ids)] = 1
    return torch.from_numpy(input_ids), torch.from_numpy(mask), torch.from_numpy(labels)


def train_step(
    model: LoopTagger, optimizer: torch.optim.Optimizer, input_ids: Tensor, mask: Tensor, labels: Tensor
) -> float:
    """Take one step as the original does, and read the loss at once."""
    optimizer.zero_grad()
    logits = model(input_ids, mask)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    loss.backward()
    optimizer.step()
    return loss.item()
