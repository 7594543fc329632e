"""The tagger in PyTorch: token and position embedding, post-LN Transformer encoder, LSTM, classifier.

Read it beside ``hybridner_flax/model.py``: the same classes with the same names in the same order.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybridner.config.model import ModelConfig
from hybridner.model.weights import initial_weights, position_table
from hybridner_torch.canonical import load_weights
from hybridner_torch.dropout import DropoutStream, dropout
from hybridner_torch.linear import Embedding, Linear
from hybridner_torch.lstm import lstm_scan

LAYER_NORM_EPS = 1e-5
CLASSIFIER_SITE = 0
SITES_PER_LAYER = 4

Hidden = Float[Tensor, "batch length hidden"]


def sentence_starts(attention_mask: Int[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    """Where a sentence (or padding) starts within its row: where the mask changes."""
    changes = attention_mask[:, 1:] != attention_mask[:, :-1]
    return torch.cat((torch.ones_like(attention_mask[:, :1], dtype=torch.bool), changes), dim=1)


def sentence_positions(attention_mask: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
    """Position of each piece within its sentence, from 0; 0 for padding, of which a row may hold any length."""
    column = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    start = torch.where(sentence_starts(attention_mask), column, 0).cummax(dim=1).values
    return torch.where(attention_mask != 0, column - start, 0)


class SelfAttention(nn.Module):
    """Multi-head attention within each sentence of a row (Vaswani et al. 2017), with biases."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.dropout = config.dropout
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.hidden_size)
        self.v_proj = Linear(config.hidden_size, config.hidden_size)
        self.out_proj = Linear(config.hidden_size, config.hidden_size)

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
        # Padding may attend to padding, so no row is masked whole.
        scores = scores.masked_fill(~allowed[:, None], float("-inf"))
        probabilities = dropout(scores.softmax(-1).to(x.dtype), self.dropout, site, stream)
        context = probabilities @ v
        return self.out_proj(context.transpose(1, 2).reshape(batch, length, hidden))


class EncoderLayer(nn.Module):
    """Attention and a ReLU feed-forward net, each followed by dropout, the residual and LayerNorm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = _layer_norm(config.hidden_size)
        self.fc1 = Linear(config.hidden_size, 4 * config.hidden_size)
        self.fc2 = Linear(4 * config.hidden_size, config.hidden_size)
        self.final_layer_norm = _layer_norm(config.hidden_size)

    def forward(
        self, x: Hidden, allowed: Bool[Tensor, "batch length length"], site: int, stream: DropoutStream | None
    ) -> Hidden:
        attended = self.self_attn(x, allowed, site, stream)
        x = self.self_attn_layer_norm(x + dropout(attended, self.dropout, site + 1, stream))
        inner = dropout(F.relu(self.fc1(x)), self.dropout, site + 2, stream)
        return self.final_layer_norm(x + dropout(self.fc2(inner), self.dropout, site + 3, stream))


class Encoder(nn.Module):
    """The encoder layers behind the LayerNorm of the embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding_layer_norm = _layer_norm(config.hidden_size)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_encoder_layers))

    def forward(
        self, x: Hidden, attention_mask: Int[Tensor, "batch length"], stream: DropoutStream | None
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        allowed = attention_mask[:, :, None] == attention_mask[:, None, :]
        x = self.embedding_layer_norm(x)
        activations = [("embedding", x)]
        for i, layer in enumerate(self.layers):
            x = layer(x, allowed, 1 + SITES_PER_LAYER * i, stream)
            activations.append((f"layers.{i}", x))
        return x, activations


class TransformerEncoder(nn.Module):
    """Token embedding plus sinusoidal positions, then the encoder."""

    embed_positions: Tensor

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        # padding_idx: the pad row stays as it is, no gradient flows into it.
        self.embed_tokens = Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        table = torch.tensor(position_table(config)).to(dtype)
        self.register_buffer("embed_positions", table, persistent=False)
        self.encoder = Encoder(config)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None,
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        embedded = self.embed_tokens(input_ids).to(self.dtype)
        positions = sentence_positions(attention_mask)
        embedded = embedded + self.embed_positions[positions]
        return self.encoder(embedded, attention_mask, stream)


class LSTM(nn.Module):
    """One left-to-right LSTM layer with two biased linear maps, zeroed where a sentence starts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear_ih = Linear(config.hidden_size, 4 * config.hidden_size)
        self.linear_hh = Linear(config.hidden_size, 4 * config.hidden_size)

    def forward(self, x: Hidden, starts: Bool[Tensor, "batch length"]) -> Hidden:
        time_first = x.transpose(0, 1)  # turned round before the projection makes it four times as wide
        gates_x = F.linear(time_first, self.linear_ih.weight, self.linear_ih.bias + self.linear_hh.bias)
        hs = lstm_scan(gates_x, self.linear_hh.weight.to(gates_x.dtype), starts.t())
        return hs.transpose(0, 1).to(x.dtype)


class HybridNER(nn.Module):
    """The tagger. Its initial weights are the canonical ones of ``seed``, the same as the Flax twin's.

    >>> model = HybridNER(ModelConfig(vocab_size=100, num_labels=9, hidden_size=32, num_encoder_layers=1))
    >>> model(torch.tensor([[2, 5, 3]]), torch.tensor([[1, 1, 1]])).shape
    torch.Size([1, 3, 9])

    Args:
        config: sizes and parts.
        seed: decides the initial weights; None leaves them to whatever the memory holds.
        dtype: type of the computation; below ``float32`` it comes from autocast around the call.
        param_dtype: type of the weights, ``float32`` or ``float64``.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        seed: int | None = 0,
        dtype: torch.dtype = torch.float32,
        param_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config = config
        self.transformer_encoder = TransformerEncoder(config, dtype)
        if config.use_lstm:
            self.lstm = LSTM(config)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.to(param_dtype)
        if seed is not None:
            load_weights(self, initial_weights(config, seed))

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None = None,
    ) -> Float[Tensor, "batch length num_labels"]:
        """Logits of every piece.

        Args:
            input_ids: int32 or int64, below ``vocab_size``.
            attention_mask: int32 or int64; 0 for padding, 1…n for the sentence within the row.
            stream: drop with these masks; None does not drop.
        """
        return self.activations(input_ids, attention_mask, stream)[-1][1]

    def activations(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None = None,
    ) -> list[tuple[str, Tensor]]:
        """What comes out of each part, in order: "embedding", "layers.0", …, "lstm", "classifier"."""
        x, activations = self.transformer_encoder(input_ids, attention_mask, stream)
        if self.config.use_lstm:
            x = self.lstm(x, sentence_starts(attention_mask))
            activations.append(("lstm", x))
        x = dropout(x, self.config.dropout, CLASSIFIER_SITE, stream)
        return [*activations, ("classifier", self.classifier(x))]


def _layer_norm(hidden_size: int) -> nn.LayerNorm:
    return nn.LayerNorm(hidden_size, eps=LAYER_NORM_EPS)
