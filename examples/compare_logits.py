"""Compute one saved model's logits in Flax and in PyTorch, and compare them.

python examples/compare_logits.py runs/own-sentences

``hybridner verify`` compares much more: weights, every activation, gradients, dropout and optimizer steps.
"""

import sys

import numpy as np

import hybridner

SENTENCES = [["Anna", "Tarkin", "left", "Dorst", "."], ["Is", "Velmora", "old", "?"]]


def main(source: str) -> None:
    """Print the relative difference in float32, and in float64, where rounding leaves no room for a real one."""
    for dtype in ("float32", "float64"):
        flax, torch = (hybridner.load(source, backend, device="cpu", dtype=dtype) for backend in ("flax", "torch"))
        tokenizer = flax.model.tokenizer
        rows = [
            [tokenizer.cls_id, *(piece for word in words for piece in word), tokenizer.sep_id]
            for words in tokenizer.encode_sentences(SENTENCES)
        ]
        input_ids = np.full((len(rows), max(map(len, rows))), tokenizer.pad_id)
        for i, row in enumerate(rows):
            input_ids[i, : len(row)] = row
        attention_mask = (np.arange(input_ids.shape[1]) < [[len(row)] for row in rows]).astype(int)

        a, b = (tagger.logits(input_ids, attention_mask) for tagger in (flax, torch))  # [batch, length, labels]
        real = attention_mask == 1
        error = np.linalg.norm((a - b)[real]) / np.linalg.norm(b[real])
        print(f"{dtype}: {real.sum()} pieces, relative difference {error:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
