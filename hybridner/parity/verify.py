"""Verification of saved models: one model in both backends, or two models against each other."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hybridner.batches.batch import Batch
from hybridner.batches.encoding import encode
from hybridner.config.choices import Device, Dtype
from hybridner.config.model import ModelConfig, is_original
from hybridner.config.options import Options
from hybridner.corpora.read import read_corpus
from hybridner.corpora.splits import shown_split, split_name
from hybridner.errors import InputError
from hybridner.model.learner import Probe
from hybridner.model.twins import BACKENDS, Backend, choose_backend, installed, learner_class, original_module, versions
from hybridner.model.weights import check_weights, weight_shapes
from hybridner.parity.bars import Finding
from hybridner.parity.ladder import MakeLearners, climb
from hybridner.parity.samples import corpus_batches, standard_batches
from hybridner.saved.model import SavedModel
from hybridner.saved.open import ORIGINAL_SUFFIX, find_model, open_model
from hybridner.saved.original import from_state_dict
from hybridner.text.vocabulary import Vocabulary

_CLIP_NORM = 0.1  # small enough to clip
_LEARNING_RATE = 1e-3
_NAMES = {"flax": "Flax", "torch": "PyTorch"}


@dataclass(frozen=True, slots=True)
class Verification:
    """A comparison of two models.

    Attributes:
        a, b: the two models and their backends, in words.
        dtype: type of the computation.
        computed: type, device and batches of the computation, in words.
        findings: one per check.
        notes: sentences for the user about assumptions and missing comparisons.
        versions: versions of the packages that computed.
    """

    a: str
    b: str
    dtype: Dtype
    computed: str
    findings: list[Finding]
    notes: list[str]
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """Return True if every check passed."""
        return all(finding.passed for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to JSON values; an infinite error becomes None."""
        values = dataclasses.asdict(self)
        for finding, shown in zip(self.findings, values["findings"], strict=True):
            errors = {name: _finite(error) for name, error in finding.errors.items()}
            shown |= {"error": _finite(finding.error), "errors": errors, "passed": finding.passed}
        return {**values, "passed": self.passed}


def verify(
    source: str,
    other: str | None = None,
    *,
    data: str | None = None,
    split: str = "dev",
    dtype: Dtype = "float64",
    device: Device = "cpu",
    steps: int = 1,
    tell: Callable[[Finding], None] = lambda finding: None,
) -> Verification:
    """Compare ``source`` in Flax with ``other``, or itself, in PyTorch; two models in one backend if one is installed.

    Each is a run, a model folder or a ``.pth`` of the original. Of models of different sizes, only the configs, labels,
    tokenizers and shapes are compared. The batches are text of a corpus's split, or random pieces without ``data``. The
    optimizer does ``steps`` AdamW steps. ``tell`` is called with each finding.

    Raises:
        InputError: a model or the data cannot be read, or there are only one backend and one model.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}")
    backends = _backends(alone=other is None)
    notes: list[str] = []
    a, b = _open(source, other, notes)
    batches, words = _batches(a, data, split)
    devices: list[str] = []

    def make(config: ModelConfig, options: Options) -> tuple[Probe, Probe]:
        """Make learners of both models, with the dropout of ``config``."""
        learners = []
        for model, backend in zip((a, b), backends, strict=True):
            own = dataclasses.replace(model.config, dropout=config.dropout)
            learner = learner_class(backend)(own, options.replace(device=device))
            learner.init(model.weights)
            learners.append(learner)
            devices.append(learner.device)
        return learners[0], learners[1]

    findings: list[Finding] = []
    for finding in _findings(a, b, make, dtype, batches, steps):
        findings.append(finding)
        tell(finding)
    if not devices:
        notes.append("models of different sizes have no activations or gradients to compare")
    failed = {finding.check for finding in findings if not finding.passed}
    if dtype == "float32" and "activations" not in failed and failed & {"gradients", "dropout"}:
        notes.append(
            "in float32 a ReLU whose input is within rounding of 0 can pass its gradient on in one backend and not in "
            "the other; check with --dtype float64"
        )
    return Verification(
        f"{a.where} in {_NAMES[backends[0]]}",
        f"{b.where} in {_NAMES[backends[1]]}",
        dtype,
        f"{dtype} on {' and '.join(dict.fromkeys(devices))}; {words}" if devices else "nothing was computed",
        findings,
        notes,
        {**versions(backends[0]), **versions(backends[1])},
    )


def _findings(
    a: SavedModel, b: SavedModel, make: MakeLearners, dtype: Dtype, batches: list[Batch], steps: int
) -> Iterator[Finding]:
    models = [] if a is b else [compare_models(a, b)]
    shapes_a, shapes_b = weight_shapes(a.config), weight_shapes(b.config)
    if shapes_a == shapes_b:
        rates = [_LEARNING_RATE] * steps
        checks = climb(make, a.config, dtype, batches, learning_rates=rates, clip_norm=_CLIP_NORM)
        weights = next(checks)  # a missing device must raise before the first finding
        return chain(models, [weights], checks)
    name = next(n for n in [*shapes_a, *shapes_b] if shapes_a.get(n) != shapes_b.get(n))
    shapes = " against ".join(str(shapes.get(name, "no such tensor")) for shapes in (shapes_a, shapes_b))
    return chain(models, [Finding("weights", math.inf, f"{name}: {shapes}", 0.0)])


def _backends(alone: bool) -> tuple[Backend, Backend]:
    if len(installed()) == len(BACKENDS):
        return "flax", "torch"
    only = choose_backend(None)
    if alone:
        missing = next(name for name in BACKENDS if name != only)
        raise InputError(
            f"verifying one model needs both backends, and {_NAMES[missing]} is not installed; "
            f"pip install 'hybridner[{missing}]', or give a second model"
        )
    return only, only


def compare_models(a: SavedModel, b: SavedModel) -> Finding:
    """Compare the config, labels and tokenizer of two saved models."""
    one, other = (dict(_flat(dataclasses.asdict(model.config))) for model in (a, b))
    differing = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    differences = [f"{name} {one.get(name)} against {other.get(name)}" for name in differing]
    if a.labels != b.labels:
        differences.append(f"labels {', '.join(a.labels)} against {', '.join(b.labels)}")
    if a.tokenizer and b.tokenizer and a.tokenizer.to_json() != b.tokenizer.to_json():
        differences.append("the tokenizers")
    if _vectors(a) != _vectors(b):
        differences.append("the vectors of words")
    same = "config, labels, tokenizer" if a.tokenizer and b.tokenizer else "config, labels"
    return Finding("model", math.inf if differences else 0.0, "; ".join(differences) or same, 0.0)


def _vectors(model: SavedModel) -> str | None:
    """Compute the digest of a model's vectors of words."""
    vectors = model.tokenizer.vectors if isinstance(model.tokenizer, Vocabulary) else None
    return None if vectors is None else vectors.digest()


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _open(source: str, other: str | None, notes: list[str]) -> tuple[SavedModel, SavedModel]:
    """Open both models; a ``.pth`` gets its config and labels, which the file lacks, from the other."""
    if other is None:
        model = open_model(source)
        return model, model
    a_is_original, b_is_original = (find_model(path).suffix == ORIGINAL_SUFFIX for path in (source, other))
    if a_is_original == b_is_original:
        return open_model(source), open_model(other)
    whole, path = (open_model(other), source) if a_is_original else (open_model(source), other)
    original = _original_like(whole, find_model(path), notes)
    return (original, whole) if a_is_original else (whole, original)


def _original_like(whole: SavedModel, path: Path, notes: list[str]) -> SavedModel:
    """Open the ``.pth`` at ``path`` with the config and labels of ``whole``, if its tensors fit them."""
    weights = from_state_dict(original_module().read_state_dict(path), str(path))
    if whole.config.lstm is None:  # the original always has these tensors
        weights = {name: value for name, value in weights.items() if not name.startswith("lstm.")}
    shapes = {name: value.shape for name, value in weights.items()}
    if not is_original(whole.config) or shapes != weight_shapes(whole.config):
        return open_model(path)
    check_weights(whole.config, weights, str(path))
    notes.append(
        f"{path} contains only weights: number of heads, labels and tokenizer are assumed to be those of {whole.where}"
    )
    return SavedModel(whole.config, whole.labels, None, weights, where=str(path))


def _batches(model: SavedModel, data: str | None, split: str) -> tuple[list[Batch], str]:
    if data is None:
        batches = standard_batches(model.config)
        kind = "of random pieces, padded, ragged and packed"
    else:
        if model.tokenizer is None:
            raise InputError(f"{model.where}: has no tokenizer, so it cannot be compared on text; leave out --data")
        split = split_name(split)
        corpus = read_corpus(data, require_train=False, splits=(split,))
        encoded = encode(corpus.splits[split], model.tokenizer, model.labels, model.config.input.max_length)
        batches = corpus_batches(encoded, model.config.input.pad_token_id)
        count = sum(len(batch.examples) for batch in batches)
        layouts = "padded and packed" if len(batches) > 1 else "padded"
        kind = f"of {corpus.name}, {shown_split(split)} split ({count} of its {len(encoded):,} inputs), {layouts}"
    rows, length = batches[0].input_ids.shape
    return batches, f"{len(batches)} batch{'es' * (len(batches) > 1)} {kind}, {rows} rows of {length} pieces each"


def _finite(error: float) -> float | None:
    return error if math.isfinite(error) else None
