"""A loss, a gradient or a weight that is infinite or NaN: found, reported with its batch, and never saved."""

import dataclasses
import json
import re

import numpy as np
import pytest

import hybridner
import hybridner.training.loop
from hybridner.batches.batch import epoch_order
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.model.finite import first_nonfinite, nonfinite_in
from hybridner.model.learner import TrainingState
from hybridner.model.parts import EMBEDDING
from hybridner.model.twins import learner_class
from hybridner.model.weights import initial_weights
from hybridner.text.tokenizer import train_tokenizer
from hybridner.training.nonfinite import MOST_SKIPPED_IN_ROW
from tests.small_runs import NAMES, SMALL

ROWS = [f"the O\n{NAMES[i % 12]} B-{('PER', 'LOC')[i % 2]}\nsleeps O\n\n" for i in range(60)]
RARE = 9
ROWS[RARE] = "the O\nmayor O\n~ B-ZEAL\n\n"
BATCHES = 5
LAYER_NORM = "transformer_encoder.encoder.embedding_layer_norm.weight"
OPTIONS = {
    **SMALL,
    "epochs": 2,
    "log_every": 1,
    "parallel": "jit",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Write sixty sentences of three rows, only one of which has the piece ~ and the label ZEAL."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "train.txt").write_text("".join(ROWS))
    (folder / "valid.txt").write_text("".join(ROWS[:8]))
    return folder


@pytest.fixture
def start_with(monkeypatch):
    """Begin a run with some weights far too large, but finite."""

    def start_with(change):
        def changed(config, seed):
            weights = initial_weights(config, seed)
            change(weights)
            return weights

        monkeypatch.setattr(hybridner.training.loop, "initial_weights", changed)

    return start_with


def rare_piece(weights):
    # LayerNorm's variance overflows at this piece only.
    tokenizer = train_tokenizer([Sentence(tuple(row.split()[::2])) for row in ROWS], OPTIONS["vocab_size"])
    piece = tokenizer.encode_sentences([("~",)])[0][0][0]
    weights[EMBEDDING][piece] = np.where(np.arange(16) % 2, 3e38, -3e38)


def rare_label(weights):
    # Where it is right, the loss is 1e32 and the gradients 1e30, whose squares overflow float32.
    weights["classifier.weight"][-2] *= 1e30
    weights["classifier.bias"][-2] = -1e32


def train(corpus, output, backend="torch", **options):
    return hybridner.train(backend, data=str(corpus), output=output, **{**OPTIONS, **options})


def records(folder, event):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record for record in lines if record["event"] == event]


def batches_with_the_rare(seed=12):
    """Return the number, from 1, of each epoch's batch with the rare sentence."""
    orders = (epoch_order(len(ROWS), seed, epoch) for epoch in range(2))
    return [int(np.flatnonzero(order == RARE)[0]) // 12 + 1 for order in orders]


def sentences(corpus, epoch, batch):
    """Return the places of the sentences in a batch (from 1) of an epoch (from 0)."""
    order = epoch_order(len(ROWS), 12, epoch)[12 * (batch - 1) : 12 * batch]
    return [f"{corpus}/train.txt:{4 * i + 1}" for i in sorted(order)]


def test_the_first_tensor_that_is_not_finite_is_named():
    good, huge = np.ones(3, np.float32), np.full(3, 3e38, np.float32)
    assert first_nonfinite({"a": good, "b": huge, "c": -huge}) is None
    for bad in (np.nan, np.inf, -np.inf):
        assert first_nonfinite({"a": huge, "b": np.array([1, bad, 0], np.float32), "c": np.array([bad])}) == "b"
    assert first_nonfinite({"a": np.array([np.inf, -np.inf])}) == "a"


def test_moments_and_the_average_of_a_state_are_looked_into():
    good, bad = {"w": np.ones(2)}, {"w": np.array([1, np.inf])}
    state = TrainingState(good, good, good, 3)
    assert nonfinite_in(state) is None
    words = {"weights": "the weight", "exp_avg_sq": "AdamW's second moment of", "average": "the average of"}
    for kind, said in words.items():
        assert nonfinite_in(dataclasses.replace(state, **{kind: bad})) == f"{said} 'w'"


def test_a_loss_that_is_not_finite_is_reported_with_its_batch_and_what_to_do(corpus, tmp_path, start_with):
    start_with(rare_piece)
    batch = batches_with_the_rare()[0]
    with pytest.raises(InputError) as stop:
        train(corpus, tmp_path / "run")
    shown = ", ".join(sentences(corpus, 0, batch)[:3])
    assert str(stop.value) == (
        f"step {batch} (epoch 1, batch {batch}: {shown} and 9 more): the loss is nan; there is no checkpoint "
        "yet; lower --learning-rate, warm up (--warmup-steps) or clip (--clip-norm 1) in a new run, or skip such "
        f"steps: python train_torch.py --output {tmp_path}/run --resume --on-nonfinite skip"
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_a_gradient_too_large_for_adamw_is_found_before_anything_is_saved(backend, corpus, tmp_path, start_with):
    start_with(rare_label)
    with pytest.raises(InputError) as stop:
        train(corpus, tmp_path / "run", backend)
    said = str(stop.value)
    assert said.startswith(f"step {BATCHES} (epoch 1, batch {BATCHES}: {corpus}/train.txt:")
    assert re.search(r": AdamW's second moment of '[\w.]+' is not finite, perhaps since an earlier step", said)
    assert all(np.isfinite(record["loss"]) for record in records(tmp_path / "run", "step"))
    assert not (tmp_path / "run/best").exists()
    assert list((tmp_path / "run/checkpoints").iterdir()) == []


def test_no_checkpoint_within_an_epoch_holds_what_is_not_finite(corpus, tmp_path, start_with):
    start_with(rare_label)
    batch = batches_with_the_rare()[0]
    assert batch <= BATCHES - 2
    with pytest.raises(InputError, match=f"is not finite, .*; the last checkpoint is that of step {batch - 1}; "):
        train(corpus, tmp_path / "run", checkpoint_every=1, keep_checkpoints=9)
    assert sorted(int(p.name) for p in (tmp_path / "run/checkpoints").iterdir()) == list(range(1, batch))


def test_a_run_that_stopped_resumes_without_the_steps_that_are_not_finite(corpus, tmp_path, start_with, capsys):
    start_with(rare_label)
    with pytest.raises(InputError, match="--resume --on-nonfinite skip"):
        train(corpus, tmp_path / "run", checkpoint_every=1)
    capsys.readouterr()
    assert hybridner.train("torch", output=tmp_path / "run", resume=True, on_nonfinite="skip").step == 2 * BATCHES
    said = capsys.readouterr().out
    train(corpus, tmp_path / "whole", checkpoint_every=1, on_nonfinite="skip")
    files = [tmp_path / name / "best/model.safetensors" for name in ("run", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    first, second = batches_with_the_rare()
    skipped = {"event": "skipped"}
    for folder in (tmp_path / "run", tmp_path / "whole"):
        assert records(folder, "skipped") == [
            {**skipped, "step": first, "epoch": 1, "batch": first, "sentences": sentences(corpus, 0, first)[:3]},
            {
                **skipped,
                "step": BATCHES + second,
                "epoch": 2,
                "batch": second,
                "sentences": sentences(corpus, 1, second)[:3],
            },
        ]
        assert len(records(folder, "step")) == 2 * BATCHES - 2
        assert all(record["train_loss"] < 10 for record in records(folder, "epoch"))
    assert said.count("skipped, because its loss or gradient is not finite") == 1
    assert "2 of 10 steps were skipped" in said


def test_a_run_that_skips_every_step_stops(corpus, tmp_path, monkeypatch):
    learner = learner_class("torch")
    step = learner.step

    def broken_from_the_third(self, batch, learning_rate):
        if self.snapshot().step == 2:
            self.restore(dataclasses.replace(self.snapshot(), weights=broken(self.snapshot().weights)))
        return step(self, batch, learning_rate)

    monkeypatch.setattr(learner, "step", broken_from_the_third)
    with pytest.raises(InputError) as stop:
        train(corpus, tmp_path / "run", on_nonfinite="skip", batch_size=4, checkpoint_every=5)
    said, last = str(stop.value), 3 + MOST_SKIPPED_IN_ROW
    assert said.startswith(f"step {last} (epoch 1, batch {last}: {corpus}/train.txt:")
    assert (
        f": {MOST_SKIPPED_IN_ROW + 1} steps in a row were not finite; the last checkpoint is that of step 10; " in said
    )
    assert "--on-nonfinite" not in said
    assert [record["step"] for record in records(tmp_path / "run", "skipped")] == list(range(3, 14))


def broken(weights):
    return {**weights, LAYER_NORM: np.full_like(weights[LAYER_NORM], 3e38)}
