"""A saved model's card, its ``README.md``: what it is, how good, how it came about, and how to use it.

The front matter is what the Hugging Face Hub reads (https://huggingface.co/docs/hub/model-cards). Everything comes from
the model itself and its provenance, and nothing from a clock, so the same run twice writes the same card.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridner.config.options import FIELDS, Options
from hybridner.config.presets import make_options
from hybridner.model.weights import num_parameters

if TYPE_CHECKING:
    from hybridner.saved.model import SavedModel

_SPLITS = {"valid": "validation", "test": "test"}
_NUMBERS = ("f1", "precision", "recall", "correct", "predicted", "gold")
# The Hub takes only identifiers on its list of licences; these are what most corpora come under.
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


def card(model: "SavedModel") -> str:
    """Write the card as Markdown with a front matter in YAML."""
    import yaml

    front = yaml.safe_dump(_front_matter(model), sort_keys=False, allow_unicode=True)
    blocks = [_what(model), _use(model), _scores(model), _training(model.provenance), _labels(model), _limits(model)]
    return "\n".join(["---", f"{front}---", "", "\n\n".join(blocks), ""])


def _front_matter(model: "SavedModel") -> dict[str, Any]:
    about = model.provenance
    front: dict[str, Any] = {
        "library_name": "hybridner",
        "pipeline_tag": "token-classification",
        "tags": [
            "named-entity-recognition",
            "transformer",
            *(["lstm"] if model.config.lstm is not None else []),
            "hybridner",
        ],
        "metrics": ["f1", "precision", "recall"],
    }
    if stated := about.get("data_license"):
        identifier = str(stated).lower().replace(" ", "-")
        front["license"] = identifier if _HUB_LICENSE.fullmatch(identifier) else "other"
    results = [
        {
            "task": {"type": "token-classification", "name": "Named-entity recognition"},
            "dataset": {"name": str(about.get("data")), "type": str(about.get("data")), "split": _SPLITS[split]},
            "metrics": [{"type": name, "name": name, "value": scores[name]} for name in front["metrics"]],
        }
        for split, scores in _scored(about)
    ]
    if results:
        front["model-index"] = [{"name": _title(about), "results": results}]
    return front


def _scored(about: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for split in _SPLITS:
        scores = about.get(split)
        if isinstance(scores, dict) and all(isinstance(scores.get(name), int | float) for name in _NUMBERS):
            yield split, scores


def _title(about: Mapping[str, Any]) -> str:
    return f"HybridNER trained on {about['data']}" if "data" in about else "HybridNER"


def _what(model: "SavedModel") -> str:
    return (
        f"# {_title(model.provenance)}\n\n"
        f"A Transformer encoder{' with an LSTM' if model.config.lstm is not None else ''}, "
        f"{num_parameters(model.config):,} parameters, that tags named entities: {', '.join(_types(model)) or 'none'}."
    )


def _use(model: "SavedModel") -> str:
    if model.tokenizer is None:
        return (
            "## How to use it\n\n"
            "The model has no tokenizer: it gives logits for word pieces, `hybridner.load(FOLDER).logits(input_ids, "
            "attention_mask)`.\nTo tag text, convert it again with `--tokenizer FILE`."
        )
    return """\
## How to use it

With HybridNER and one framework installed, JAX with Flax or PyTorch; both give the same tags.

```python
import hybridner

tagger = hybridner.load("FOLDER")  # this folder, or OWNER/NAME on the Hub; backend="flax" or "torch"
for entity in tagger.tag("Angela Merkel visited Tallinn."):
    print(entity.text, entity.label, entity.start, entity.end, entity.score)
```

```bash
hybridner predict FOLDER "Angela Merkel visited Tallinn." --format text --backend torch
```"""


def _scores(model: "SavedModel") -> str:
    scored = dict(_scored(model.provenance))
    if not scored:
        return "## Scores\n\nNone are known."
    rows = [
        (_SPLITS[split], _f1(one), _interval(one), _share(one["precision"]), _share(one["recall"]), *_counts(one))
        for split, one in scored.items()
    ]
    header = ("split", "F1", "95 % interval", "precision", "recall", "correct", "predicted", "gold")
    lines = ["## Scores", "", *_table(header, rows), ""]
    scorer = next((str(one["scorer"]) for one in scored.values() if one.get("scorer")), "micro average")
    lines.append(f"{scorer[0].upper()}{scorer[1:]}; each word's most probable tag.")
    if "valid" in scored:
        lines.append("The model was chosen by its F1 on the validation split, which is therefore on the high side.")
    drawn = next((one["bootstrap"] for one in reversed(scored.values()) if "bootstrap" in one), None)
    if drawn is not None:
        lines.append(
            f"The interval is the bootstrap's over {drawn['unit']} ({drawn['resamples']:,} resamples): it speaks of "
            "other texts of this kind, not of other seeds or other kinds of text."
        )
    split = "test" if "test" in scored else "valid"
    if by_type := scored[split].get("by_type"):
        types = [
            (name, _f1(one), _share(one["precision"]), _share(one["recall"]), *_counts(one))
            for name, one in by_type.items()
        ]
        columns = (f"type ({_SPLITS[split]})", "F1", "precision", "recall", "correct", "predicted", "gold")
        lines += ["", *_table(columns, types)]
    return "\n".join(lines)


def _training(about: Mapping[str, Any]) -> str:
    if "imported_from" in about:
        return (
            f"## How it was made\n\n- imported from a checkpoint of the original HybridNER, "
            f"`{about['imported_from']}`, with HybridNER {about.get('hybridner')}\n- training data and their licence: "
            "not stated"
        )
    told = ", ".join(f"{count:,} for {name}" for name, count in (about.get("sentences") or {}).items())
    facts = {
        "data": f"{about.get('data', 'not stated')}{f' (sentences: {told})' if told else ''}",
        "licence of the data": about.get("data_license") or "not stated",
        "preset": about.get("preset"),
        "options": ", ".join(f"`{name} = {value}`" for name, value in (about.get("options") or {}).items()),
        "seed": about.get("seed"),
        "taken from": f"epoch {about['epoch']}, step {about['step']:,}" if {"epoch", "step"} <= set(about) else None,
        "computed with": ", ".join(f"{n} {about[n]}" for n in ("hybridner", "jax", "flax", "torch") if n in about),
        "on": ", ".join(str(about[name]) for name in ("device", "dtype") if name in about),
    }
    return "\n".join(["## How it was made", "", *(f"- {name}: {value}" for name, value in facts.items() if value)])


def _labels(model: "SavedModel") -> str:
    return (
        f"## Labels\n\n{', '.join(f'`{label}`' for label in model.labels)}\n\n"
        "In the order of the logits. `B-` begins an entity, `I-` continues it, `O` is none."
    )


def _limits(model: "SavedModel") -> str:
    return f"""\
## Limits

- It knows the types above and texts like those it was trained on; on other texts, expect lower scores and measure them:
  `hybridner evaluate FOLDER --data YOUR_DATA`.
- Entities are runs of whole words that neither overlap nor nest.
- The model reads each sentence by itself; one longer than {model.config.input.max_length:,} word pieces is cut into
  overlapping windows.
- The model may reproduce errors and biases in its training data."""


def _types(model: "SavedModel") -> list[str]:
    return list(dict.fromkeys(label[2:] for label in model.labels if label != "O"))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rule = "|".join(["---"] + ["---:"] * (len(header) - 1))
    return [f"| {' | '.join(cells[0])} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in cells[1:])]


def _f1(scores: Mapping[str, Any]) -> str:
    return _share(scores["f1"])


def _interval(scores: Mapping[str, Any]) -> str:
    bounds = scores.get("f1_interval")
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "not computed"


def _share(value: float) -> str:
    return f"{value:.4f}"


def _counts(scores: Mapping[str, Any]) -> tuple[str, str, str]:
    return (f"{scores['correct']:,}", f"{scores['predicted']:,}", f"{scores['gold']:,}")
