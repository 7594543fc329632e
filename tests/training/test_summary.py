"""A run prints a summary before training, and its progress during training."""

import re

import numpy as np
import pytest

import hybridner
from hybridner.batches.packing import Shape, ShapePlan
from hybridner.cli import run
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.display.console import Reporter
from hybridner.model.size import training_flops
from hybridner.model.weights import num_parameters
from hybridner.training import pace
from hybridner.training.dry_run import _filled
from hybridner.training.pace import Pace
from hybridner.training.workload import Workload, duration
from tests.training.test_stopping import NAMES, OPTIONS, ROWS

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Lengths:
    """The part of an encoded split that is counted."""

    types = None

    def __init__(self, lengths):
        self.lengths = np.array(lengths)

    def __len__(self):
        return len(self.lengths)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [ROWS.format(NAMES[i % 12], NAMES[(i * 5 + 1) % 12], NAMES[(i * 7 + 3) % 12]) for i in range(20)]
    (folder / "train.txt").write_text("".join(rows[:15]))
    (folder / "valid.txt").write_text("".join(rows[15:]).replace("B-LOC", "I-LOC"))
    return folder


@pytest.fixture
def narrow_terminal(monkeypatch):
    for name, value in {"COLUMNS": "40", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)


def arguments(**options):
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_a_sentences_work_is_counted_as_its_matrix_products_are():
    """Two layers of width 4 with an LSTM and three labels, a sentence of five pieces, by hand."""
    config = original_model(vocab_size=9, num_labels=3, hidden_size=4, num_heads=2, num_encoder_layers=2, max_length=8)
    weights = num_parameters(config) - 9 * 4
    forward = 2 * 5 * weights + 2 * (2 * 5 * 5 * 4 + 2 * 5 * 5 * 4)
    assert training_flops(config, np.array([5.0])) == 3 * forward
    assert training_flops(config, np.array([5.0, 5.0])) == 6 * forward


def test_the_work_of_a_run_ends_where_the_run_does():
    config = original_model(vocab_size=9, num_labels=3, hidden_size=4, num_heads=2, num_encoder_layers=1, max_length=8)
    encoded = {"train": Lengths([4, 6, 5, 5, 5]), "valid": Lengths([9]), "test": Lengths([12])}
    for max_steps, steps in ((None, 6), (4, 4), (99, 6)):
        options = make_options(epochs=2, batch_size=2, max_steps=max_steps)
        work = Workload(options, config, encoded, ShapePlan(encoded["train"].lengths, 2))
        assert (work.batches_per_epoch, work.total_steps) == (3, steps)
        assert work.pieces == round(25 * steps / 3)
        assert work.flops == pytest.approx(training_flops(config, encoded["train"].lengths) * steps / 3)
        # Scoring costs a third per piece: the dev split after each of two epochs, the test split at the end.
        assert work.seconds_left(steps, 10.0) == pytest.approx((work.pieces + (2 * 9 + 12) / 3) / 10)
        assert work.seconds_left(0, 10.0) == pytest.approx(12 / 3 / 10)


def test_steps_that_compile_do_not_count_in_the_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    found = Pace()

    def step(shape, seconds, pieces):
        found.begin(shape)
        now[0] += seconds
        found.end(pieces)

    step((1, 8), 60.0, 100)  # compiled
    step((1, 8), 1.0, 100)
    step((2, 8), 60.0, 100)  # compiled
    step((2, 8), 3.0, 300)
    found.rest()
    now[0] += 60.0  # scoring
    step((1, 8), 61.0, 100)
    assert found.pieces_per_second == 400 / 4
    assert not found.is_known
    for _ in range(20):
        step((1, 8), 1.0, 100)
    assert found.is_known
    assert found.pieces_per_second == 2400 / 24


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (48.4, "48 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_time_is_said_in_its_two_largest_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize("verbose", [False, True])
def test_the_summary_says_what_will_be_done_and_the_end_what_came_of_it(corpus, capsys, verbose):
    run = corpus.parent / "run"
    options = {**OPTIONS, "epochs": 1, "verbose": verbose}
    result = hybridner.train("torch", data=str(corpus), output=run, **options)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(None, 1) for line in lines if re.match(r"\w+ {2,}", line)]
    assert rows[:2] == [
        ["data", "corpus: train 30 sentences, 150 words; dev 10 sentences, 50 words"],
        ["labels", "5: O, and B- and I- of LOC, PER"],
    ]
    found = dict(rows)
    assert found["training"].startswith("3 steps, 3 an epoch; batches of 12 sentences, learning rate ")
    assert "weights averaged with 0.9" in found["training"]
    assert found["device"] == "cpu, one process, float32"
    assert found["run"] == str(run)
    detailed = {"scheme", "batches", "work"}
    assert detailed & found.keys() == (detailed if verbose else set())
    if verbose:
        assert found["scheme"].endswith("; 5 tags repaired")
        assert found["batches"].startswith("packed into rows × length of ")
    assert any("pieces/s" in line for line in lines) == verbose
    f1 = f"dev F1 {result.valid['f1']:.4f}"
    assert any(
        re.match(rf"epoch 1 of 1: loss \S+, {f1} \(P \S+, R \S+\), \d+ s.*, best so far$", line) for line in lines
    )
    end = [
        r"finished in \d+ s: " + f1 + r" \(epoch 1\)",
        rf"model    {run}/best",
        rf"curves   {run}/curves\.png",
        rf"metrics  {run}/metrics\.jsonl",
        rf"use      hybridner predict {run} 'A sentence with names\.'",
    ]
    for pattern, line in zip(end, lines[-5:], strict=True):
        assert re.fullmatch(pattern, line)


def test_sentences_that_are_cut_are_counted_in_the_summary(corpus, capsys):
    hybridner.train(
        "torch", data=str(corpus), output=corpus.parent / "run", **{**OPTIONS, "epochs": 1, "max_length": 6}
    )
    said = capsys.readouterr().out
    assert re.search(r"^windows +sentences longer than 6 pieces are cut: \d+ of train, \d+ of dev$", said, re.MULTILINE)


def test_the_time_left_is_told_once(corpus, capsys, monkeypatch):
    monkeypatch.setattr(pace, "_ENOUGH_STEPS", 1)
    monkeypatch.setattr(pace, "_ENOUGH_SECONDS", 0.0)
    hybridner.train("torch", data=str(corpus), output=corpus.parent / "run", **OPTIONS)
    told = [line for line in capsys.readouterr().out.splitlines() if "to go" in line]
    assert len(told) == 1
    assert re.fullmatch(r"about \d+ s to go, evaluation included", told[0])


def test_a_run_fits_a_terminal_of_40_columns_without_colour(corpus, capsys, narrow_terminal, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    hybridner.train("torch", data="corpus", output="run", **OPTIONS)
    printed = capsys.readouterr().out
    assert not re.search(r"\x1b\[[0-9;]*m", printed)
    lines = re.split(r"[\r\n]+", ANSI.sub("", printed))
    assert max(map(len, lines)) <= 40
    assert any(re.fullmatch(r"epoch 2 100% loss \d\.\d{4} \d\d:\d\d", line) for line in lines)


def test_rows_are_one_line_each_where_output_is_a_file(capsys):
    Reporter().rows([("a", "word " * 50), ("longer", "x")])
    assert capsys.readouterr().out == f"a       {('word ' * 50).strip()}\nlonger  x\n"


def test_a_process_that_is_not_the_first_says_nothing(capsys):
    reporter = Reporter(speaks=False)
    reporter.line("a")
    reporter.rows([("b", "c")])
    with reporter.training_bar(0, 3) as bar:
        bar.update(1, 1, 0.5, 10.0)
    assert capsys.readouterr().out == ""


def test_a_dry_run_says_how_long_it_would_take_and_writes_nothing(corpus, capsys, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    before = sorted(corpus.parent.rglob("*"))
    options = arguments(**{**OPTIONS, "batch_size": 5})
    assert run(["train", "--backend", "torch", "--data", "corpus", "--dry-run", "--verbose", *options]) == 0
    assert sorted(corpus.parent.rglob("*")) == before
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "dry run: nothing was written"
    rows = dict(line.split(None, 1) for line in said if "  " in line)
    assert re.match(r"[\d,]+ pieces/s, [\d,]+ GFLOP/s", rows["rate"])
    assert re.match(r"about \d+ s, scoring included", rows["time"])
    assert rows["run"] == "runs/corpus-tiny-torch"
    shapes = rows["batches"].partition(" of ")[2].partition(";")[0]
    for shape in re.split(", | and ", shapes):
        assert any(line.startswith(f"{shape}: first step ") for line in said)


def test_a_batch_to_rehearse_with_is_as_full_as_sentences_allow():
    encoded = Lengths([3, 5, 7, 30])
    encoded.example = lambda i: (np.full(encoded.lengths[i], i + 1), np.zeros(encoded.lengths[i]))
    batch = _filled(encoded, Shape(6, 16), 0)
    assert batch.input_ids.shape == (6, 16)
    assert set(np.unique(batch.input_ids)) == {0, 1, 2, 3}
    assert (batch.attention_mask != 0).mean() > 0.8
