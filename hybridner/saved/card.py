"""A saved model's card, its ``README.md``: how good the model is, how it was made, and how to use it.

The Hugging Face Hub reads the front matter (https://huggingface.co/docs/hub/model-cards). Everything comes from the
model and its provenance, nothing from a clock, so the same run twice writes the same card.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybridner.config.model import LSTMConfig, ModelConfig
from hybridner.config.options import FIELDS, Options
from hybridner.config.presets import make_options
from hybridner.corpora.splits import shown_split
from hybridner.model.weights import num_parameters
from hybridner.saved.model import SavedModel

_SCORED_SPLITS = ("valid", "test")
_HUB_NAMES = {"valid": "validation", "test": "test"}
_SHARES, _COUNTS = ("f1", "precision", "recall"), ("correct", "predicted", "gold")
_COLUMNS = ("F1", *_SHARES[1:], *_COUNTS)
_PACKAGES = ("hybridner", "jax", "flax", "torch")
# The Hub accepts only identifiers on its list of licences; most corpora come under one of these.
_HUB_LICENSE = re.compile(r"cc0-1\.0|cc-by(-nc)?(-nd|-sa)?-4\.0|apache-2\.0|mit|gpl-3\.0|odbl|odc-by|pddl")


def told_options(options: Options) -> dict[str, Any]:
    """Collect the options that made the model other than its preset would have; of a path, its name alone."""
    usual = make_options(options.model.preset, data=options.data.data).flat()
    told = {
        name: value
        for name, value in options.flat().items()
        if FIELDS[name].metadata.get("in_card", True) and value != usual[name]
    }
    if "tokenizer" in told and Path(told["tokenizer"]).exists():
        told["tokenizer"] = Path(told["tokenizer"]).name
    return told


def card(model: SavedModel) -> str:
    """Write the card as Markdown with YAML front matter."""
    import yaml

    about = model.provenance
    title = f"HybridNER trained on {about['data']}" if "data" in about else "HybridNER"
    scored = {split: about[split] for split in _SCORED_SPLITS if _are_scores(about.get(split))}
    front = yaml.safe_dump(_front_matter(model, title, scored), sort_keys=False, allow_unicode=True)
    read = model.config.input
    unit = "word pieces" if read.kind == "pieces" else "words"
    types = dict.fromkeys(label[2:] for label in model.labels if label != "O")
    summary = (
        f"# {title}\n\n{_architecture(model.config)}, "
        f"{num_parameters(model.config):,} parameters, that tags named entities: {', '.join(types) or 'none'}."
    )
    blocks = [
        summary,
        f"## How to use it\n\n{_USE if model.tokenizer is not None else _USE_WITHOUT_TOKENIZER}",
        f"## Scores\n\n{_scores(scored)}",
        f"## How it was made\n\n{_training(about)}",
        f"## Labels\n\n{', '.join(f'`{label}`' for label in model.labels)}\n\n{_LABELS}",
        f"## Limits\n\n{_LIMITS.format(f'{read.max_length:,} {unit}')}",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(blocks) + "\n"


def _architecture(config: ModelConfig) -> str:
    """Describe the model's parts."""
    parts = {
        "words with shapes, affixes and characters": config.input.kind == "words",
        "an LSTM": config.lstm == LSTMConfig(),
        "a bidirectional LSTM": config.lstm is not None and config.lstm.direction == "bidirectional",
        "a CRF": config.head.kind == "crf",
    }
    with_ = [name for name, there in parts.items() if there]
    return f"A Transformer encoder{' with ' if with_ else ''}{', '.join(with_)}"


def _are_scores(scores: Any) -> bool:
    return isinstance(scores, dict) and all(isinstance(scores.get(n), int | float) for n in (*_SHARES, *_COUNTS))


def _front_matter(model: SavedModel, title: str, scored: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    data, stated = str(model.provenance.get("data")), model.provenance.get("data_license")
    lstm = ["lstm"] if model.config.lstm is not None else []
    front: dict[str, Any] = {
        "library_name": "hybridner",
        "pipeline_tag": "token-classification",
        "tags": ["named-entity-recognition", "transformer", *lstm, "hybridner"],
        "metrics": list(_SHARES),
    }
    if stated:
        identifier = str(stated).lower().replace(" ", "-")
        front["license"] = identifier if _HUB_LICENSE.fullmatch(identifier) else "other"
    results = [
        {
            "task": {"type": "token-classification", "name": "Named-entity recognition"},
            "dataset": {"name": data, "type": data, "split": _HUB_NAMES[split]},
            "metrics": [{"type": name, "name": name, "value": scores[name]} for name in _SHARES],
        }
        for split, scores in scored.items()
    ]
    if results:
        front["model-index"] = [{"name": title, "results": results}]
    return front


def _scores(scored: Mapping[str, Mapping[str, Any]]) -> str:
    if not scored:
        return "None are known."
    rows = []
    for split, scores in scored.items():
        f1, *others = _cells(scores)
        bounds = scores.get("f1_interval")
        interval = f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "not computed"
        rows.append([shown_split(split), f1, interval, *others])
    lines = [*_table(["split", "F1", "95 % interval", *_COLUMNS[1:]], rows), ""]
    split, scores = list(scored.items())[-1]
    scorer = str(scores.get("scorer") or "micro average")
    tags = "the tags that `predict` returns" if scores.get("decoded") else "each word's most probable tag"
    lines.append(f"{scorer[0].upper()}{scorer[1:]}, of {tags}.")
    if argmax := {name: one["argmax"]["f1"] for name, one in scored.items() if _are_scores(one.get("argmax"))}:
        found = ", ".join(f"{shown_split(name)} F1 {f1:.4f}" for name, f1 in argmax.items())
        lines.append(f"Argmax, as the original scores: {found}.")
    if "valid" in scored:
        lines.append("The model was selected by its dev F1, so that score is optimistic.")
    if drawn := scores.get("bootstrap"):
        lines.append(
            f"The interval is a bootstrap over {drawn['unit']} ({drawn['resamples']:,} resamples): it covers other "
            "texts of this kind, not other seeds or other kinds of text."
        )
    if by_type := scores.get("by_type"):
        types = [[name, *_cells(one)] for name, one in by_type.items()]
        lines += ["", *_table([f"type ({shown_split(split)})", *_COLUMNS], types)]
    return "\n".join(lines)


def _training(about: Mapping[str, Any]) -> str:
    sentences, options = about.get("sentences") or {}, about.get("options") or {}
    counts = ", ".join(f"{count:,} for {shown_split(name)}" for name, count in sentences.items())
    original = f"a checkpoint of the original HybridNER, `{about.get('imported_from')}`"
    facts = {
        "imported from": original if "imported_from" in about else None,
        "data": f"{about.get('data', 'not stated')}{f' (sentences: {counts})' if counts else ''}",
        "licence of the data": about.get("data_license") or "not stated",
        **_about_vectors(about.get("vectors")),
        "preset": about.get("preset"),
        "options": ", ".join(f"`{name} = {value}`" for name, value in options.items()),
        "seed": about.get("seed"),
        "checkpoint": f"epoch {about['epoch']}, step {about['step']:,}" if {"epoch", "step"} <= {*about} else None,
        "made with": ", ".join(f"{name} {about[name]}" for name in _PACKAGES if name in about),
        "device": about.get("device"),
        "dtype": about.get("dtype"),
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value not in (None, ""))


def _about_vectors(vectors: Any) -> dict[str, str]:
    if not isinstance(vectors, dict):
        return {}
    size = f"{vectors.get('words'):,} words, {vectors.get('size')} numbers each"
    return {
        "vectors of words": f"`{vectors.get('file')}`, frozen ({size})",
        "licence of the vectors": vectors.get("license") or "not stated",
    }


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rule = "|".join(["---"] + ["---:"] * (len(header) - 1))
    return [f"| {' | '.join(cells[0])} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in cells[1:])]


def _cells(scores: Mapping[str, Any]) -> list[str]:
    return [f"{scores[name]:.4f}" for name in _SHARES] + [f"{scores[name]:,}" for name in _COUNTS]


_USE = """\
Install HybridNER and one framework, JAX with Flax or PyTorch; both give the same tags.

```python
import hybridner

tagger = hybridner.load("FOLDER")  # this folder, or OWNER/NAME on the Hub; backend="flax" or "torch"
for entity in tagger.tag("Angela Merkel visited Tallinn."):
    print(entity.text, entity.label, entity.start, entity.end, entity.score)
```

```bash
hybridner predict FOLDER "Angela Merkel visited Tallinn." --format text --backend torch
```"""
_USE_WITHOUT_TOKENIZER = """\
The model has no tokenizer: it computes logits of word pieces with
`hybridner.load(FOLDER).logits(input_ids, attention_mask)`. To tag text, convert it again with `--tokenizer FILE`."""
_LABELS = """\
In the order of the logits. `B-` begins an entity, `I-` continues it, `O` is none. Where `E-` and `S-` appear, they end
an entity, and mark one of a single word."""
_LIMITS = """\
- The model knows the types above and texts like those it was trained on; on other texts, expect lower scores and
  measure them: `hybridner evaluate FOLDER --data YOUR_DATA`.
- Entities are runs of whole words that neither overlap nor nest.
- The model reads each sentence by itself; one longer than {} is cut into overlapping windows.
- The model may reproduce errors and biases in its training data."""
