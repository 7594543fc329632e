"""The Transformer encoder over packed sentences."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import layer_site
from hybridner_torch.dropout import DropoutStream, dropout
from hybridner_torch.layers import Embedding, Hidden, Linear, clipped_distances, make_layer_norm


class SelfAttention(nn.Module):
    """Multi-head attention within each sentence of a row (Vaswani et al. 2017), with biases."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.encoder.hidden_size
        self.num_heads = config.encoder.num_heads
        self.dropout = config.attention_dropout
        self.q_proj = Linear(hidden, hidden)
        self.k_proj = Linear(hidden, hidden)
        self.v_proj = Linear(hidden, hidden)
        self.out_proj = Linear(hidden, hidden)
        self.relative_distance = config.encoder.relative_distance
        if self.relative_distance:
            self.relative_bias = Embedding(2 * self.relative_distance + 1, self.num_heads)

    def forward(
        self, x: Hidden, allowed: Bool[Tensor, "batch length length"], site: int, stream: DropoutStream | None
    ) -> Hidden:
        batch, length, hidden = x.shape
        d_head = hidden // self.num_heads
        # One matmul for the three projections is faster than three.
        projections = (self.q_proj, self.k_proj, self.v_proj)
        weight = torch.cat([p.weight for p in projections])
        bias = torch.cat([p.bias for p in projections])
        qkv = F.linear(x, weight, bias).view(batch, length, 3, self.num_heads, d_head)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        scores = (q * d_head**-0.5) @ k.transpose(-1, -2)
        scores = scores.to(torch.promote_types(x.dtype, torch.float32))
        if self.relative_distance:
            bias = self.relative_bias.weight.to(scores.dtype)
            distances = clipped_distances(length, self.relative_distance, x.device)
            scores = scores + bias[distances].permute(2, 0, 1)
        # Padding may attend to padding, so no row is masked whole.
        scores = scores.masked_fill(~allowed[:, None], float("-inf"))
        probabilities = dropout(scores.softmax(-1).to(x.dtype), self.dropout, site, stream)
        context = probabilities @ v
        return self.out_proj(context.transpose(1, 2).reshape(batch, length, hidden))


class EncoderLayer(nn.Module):
    """Attention and a feed-forward network, each with dropout, the residual, and a LayerNorm before or after."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder = config.encoder
        self.dropout = config.layer_dropout
        self.activation = encoder.activation
        self.norm = encoder.norm
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps)
        self.fc1 = Linear(encoder.hidden_size, encoder.feed_forward_size)
        self.fc2 = Linear(encoder.feed_forward_size, encoder.hidden_size)
        self.final_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps)

    def forward(
        self, x: Hidden, allowed: Bool[Tensor, "batch length length"], site: int, stream: DropoutStream | None
    ) -> Hidden:
        if self.norm == "pre":
            x = x + self._attend(self.self_attn_layer_norm(x), allowed, site, stream)
            return x + self._feed_forward(self.final_layer_norm(x), site, stream)
        x = self.self_attn_layer_norm(x + self._attend(x, allowed, site, stream))
        return self.final_layer_norm(x + self._feed_forward(x, site, stream))

    def _attend(
        self, x: Hidden, allowed: Bool[Tensor, "batch length length"], site: int, stream: DropoutStream | None
    ) -> Hidden:
        return dropout(self.self_attn(x, allowed, site, stream), self.dropout, site + 1, stream)

    def _feed_forward(self, x: Hidden, site: int, stream: DropoutStream | None) -> Hidden:
        inner = self.fc1(x)
        inner = F.relu(inner) if self.activation == "relu" else F.gelu(inner)
        inner = dropout(inner, self.dropout, site + 2, stream)
        return dropout(self.fc2(inner), self.dropout, site + 3, stream)


class Encoder(nn.Module):
    """A LayerNorm for the embeddings, then the encoder layers, and a last LayerNorm if theirs come first."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder = config.encoder
        self.norm = encoder.norm
        self.embedding_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(encoder.num_layers))
        if encoder.norm == "pre":
            self.layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps)

    def forward(
        self, x: Hidden, attention_mask: Int[Tensor, "batch length"], stream: DropoutStream | None
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        allowed = attention_mask[:, :, None] == attention_mask[:, None, :]
        x = self.embedding_layer_norm(x)
        activations = [("embedding", x)]
        for i, layer in enumerate(self.layers):
            x = layer(x, allowed, layer_site(i), stream)
            activations.append((f"layers.{i}", x))
        if self.norm == "pre":
            x = self.layer_norm(x)
            activations.append(("encoder", x))
        return x, activations
