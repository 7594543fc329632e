"""A run that moves to the other backend in the middle of training equals the run that stayed."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import hybridner
from hybridner.config.model import PiecesInput
from hybridner.config.presets import make_options
from hybridner.corpora.read import read_corpus
from hybridner.export.convert import convert
from hybridner.model.parts import shift_invariant
from hybridner.parity.errors import tensor_errors, worst
from hybridner.parity.ladder import without
from hybridner.runs.checkpoints import newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.model import model_config
from hybridner.tagging.tagger import load
from hybridner.training.loop import TrainingLoop

pytestmark = pytest.mark.slow

TWINS = ("flax", "torch")
STEPS_PER_EPOCH, STEPS = 5, 30
AT = {"mid-epoch": 13, "at an epoch's end": 15}
BAR = 1e-9
# All sentences have one length, two per row, so the Flax runs compile for one shape.
ROWS = (
    "the O\nmayor O\n{} B-PER\n{} I-PER\nsleeps O\n\nthey O\nleft O\nthe O\nvillage O\n{} B-LOC\n\n-DOCSTART- -X-\n\n"
)
NAMES = ("Anna", "Berta", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna", "Ida", "Jan", "Karl", "Lena")
OPTIONS = {
    "preset": "tiny",
    "hidden_size": 32,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 64,
    "batch_size": 12,
    "epochs": STEPS // STEPS_PER_EPOCH,
    "learning_rate": 1e-2,
    "schedule": "constant",  # after a warm-up that spans the moves, so the rate reveals the step
    "warmup_steps": 20,
    "clip_norm": 1.0,
    "dropout": 0.0,
    "dtype": "float64",
    "parallel": "jit",
    "log_every": 1,
}
ZEROS = shift_invariant(make_options(**OPTIONS).model.config(PiecesInput(2), num_labels=1))
# The base preset's parts; word dropout and vectors are functions of the words, so they need no switching off.
WITH_VECTORS = {"input": "words", "lstm": "bidirectional", "head": "crf", "lstm_size": 16}
KINDS = ("pieces", "vectors")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    numbers = np.random.default_rng(0).normal(size=(12, 5)).round(3).tolist()
    vectors = [f"{name.lower()} {' '.join(map(str, row))}\n" for name, row in zip(NAMES, numbers, strict=True)]
    (folder.parent / "vectors.txt").write_text("".join(vectors))
    rows = [ROWS.format(NAMES[i % 12], NAMES[(i * 5 + 1) % 12], NAMES[(i * 7 + 3) % 12]) for i in range(35)]
    (folder / "train.txt").write_text("".join(rows[:30]))
    (folder / "valid.txt").write_text("".join(rows[30:]))
    return str(folder)


def options_of(kind, corpus):
    extra = {} if kind == "pieces" else {**WITH_VECTORS, "vectors": Path(corpus).parent / "vectors.txt"}
    return {**OPTIONS, "data": corpus, **extra}


@pytest.fixture(scope="module")
def whole_runs(corpus, tmp_path_factory):
    """Return the runs that stayed in one backend."""
    return {
        (kind, twin): hybridner.train(
            twin, output=tmp_path_factory.mktemp(twin) / "whole", **options_of(kind, corpus)
        ).folder
        for kind in KINDS
        for twin in TWINS
    }


@pytest.fixture(scope="module")
def whole(whole_runs):
    return {twin: whole_runs["pieces", twin] for twin in TWINS}


def first_part(twin, corpus, folder, stop, monkeypatch, kind="pieces"):
    """Make a run that ends after some steps, or that Ctrl-C stops in the epoch after its newest checkpoint."""
    if stop == "mid-epoch":
        return hybridner.train(twin, output=folder, **options_of(kind, corpus), max_steps=AT[stop]).folder
    epoch = TrainingLoop._epoch

    def interrupted(self, step, bar):
        if step == AT[stop]:
            self.job.run.append({"event": "step", "step": step + 1, "loss": 0.5})
            raise KeyboardInterrupt
        return epoch(self, step, bar)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hybridner.train(twin, output=folder, **options_of(kind, corpus))
    return folder


def newest(twin, folder):
    return newest_state(twin, folder / "checkpoints")[:2]


def records(folder, event):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


def dev_tags(folder, twin, corpus):
    """Return the dev tags of the run's best model in the run's own backend."""
    rows = read_corpus(corpus).splits["valid"]
    tagger = load(folder, twin, dtype="float64")
    return [tagger.tag_words(sentence.words) for sentence in rows]


def distance(a, b):
    """Return the largest error of any weight or moment."""
    return max(
        worst(tensor_errors(*(without(ZEROS, getattr(state, kind)) for state in (a, b))))[1]
        for kind in ("weights", "exp_avg", "exp_avg_sq")
    )


@pytest.mark.parametrize(
    ("kind", "stop"), [("pieces", "mid-epoch"), ("pieces", "at an epoch's end"), ("vectors", "at an epoch's end")]
)
@pytest.mark.parametrize(("here", "there"), [TWINS, TWINS[::-1]])
def test_a_run_that_moved_is_the_run_that_stayed(here, there, kind, stop, whole_runs, corpus, tmp_path, monkeypatch):
    whole = {twin: whole_runs[kind, twin] for twin in TWINS}
    first = first_part(here, corpus, tmp_path / "first", stop, monkeypatch, kind)
    moved = tmp_path / "moved"
    convert(first, moved, there)
    at_move, _ = newest(there, moved)
    assert at_move.step == AT[stop]
    result = hybridner.train(there, output=moved, resume=True, max_steps=None)
    assert result.step == STEPS

    state, progress = newest(there, moved)
    for twin in TWINS:
        stayed, stayed_progress = newest(twin, whole[twin])
        assert state.step == stayed.step == STEPS
        assert distance(state, stayed) <= BAR
        losses, stayed_losses = ([r["loss"] for r in records(f, "step")] for f in (moved, whole[twin]))
        assert losses == pytest.approx(stayed_losses, rel=1e-10)
        assert [r["step"] for r in records(moved, "step")] == list(range(1, STEPS + 1))
        assert records(moved, "epoch")[-1]["valid"] == records(whole[twin], "epoch")[-1]["valid"]
        assert progress["progress"]["best"]["valid"] == stayed_progress["progress"]["best"]["valid"]
        assert dev_tags(moved, there, corpus) == dev_tags(whole[twin], twin, corpus)
    assert RunDir(moved).read_options()[1] == there


def test_the_dev_split_is_tagged_with_entities(whole, corpus):
    """Otherwise equal tags of all runs would mean little."""
    tags = {tag for row in dev_tags(whole["torch"], "torch", corpus) for tag in row}
    assert {"O", "B-PER", "I-PER", "B-LOC"} <= tags


def zeros(tensors):
    return {name: np.zeros_like(value) for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("lost", "change"),
    [
        ("nothing", lambda state, progress: state),
        ("first moments", lambda state, progress: dataclasses.replace(state, exp_avg=zeros(state.exp_avg))),
        ("second moments", lambda state, progress: dataclasses.replace(state, exp_avg_sq=zeros(state.exp_avg_sq))),
        ("place in the data", lambda state, progress: progress["progress"].update(batch=2) or state),
        ("float64", lambda state, progress: dataclasses.replace(state, weights=in_float32(state.weights))),
    ],
)
def test_a_move_that_loses_something_is_far_from_the_run_that_stayed(
    lost, change, whole, corpus, tmp_path, monkeypatch
):
    first_part("torch", corpus, tmp_path, "mid-epoch", monkeypatch)
    state, progress = newest("torch", tmp_path)
    checkpoints = open_checkpoints("torch", tmp_path / "checkpoints")
    checkpoints.save(change(state, progress), model_config(progress["model"], tmp_path), progress)
    hybridner.train("torch", output=tmp_path, resume=True, max_steps=None)
    error = distance(newest("torch", tmp_path)[0], newest("torch", whole["torch"])[0])
    assert error <= BAR if lost == "nothing" else error > 10 * BAR


def in_float32(tensors):
    return {name: value.astype(np.float32).astype(np.float64) for name, value in tensors.items()}
