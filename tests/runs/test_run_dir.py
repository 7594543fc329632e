import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from hybridner.config.options import FIELDS, Options
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.runs.run_dir import RunDir, choose_folder, merge_resumed

# A value other than the default for every option that a run's folder keeps.
OTHER = {
    "data": "my/corpus",
    "word_column": 2,
    "tag_column": 4,
    "comment": "#",
    "misaligned": "drop",
    "data_license": "CC-BY-4.0",
    "preset": "original",
    "tokenizer": "some/vocab.txt",
    "lower_case": False,
    "vocab_size": 555,
    "vectors": "some/vectors.txt",
    "vectors_license": "PDDL",
    "hidden_size": 96,
    "num_heads": 8,
    "num_encoder_layers": 3,
    "input": "words",
    "lstm": "none",
    "lstm_size": 24,
    "head": "crf",
    "max_length": 77,
    "dropout": 0.3,
    "encoder_dropout": 0.2,
    "attention_dropout": 0.1,
    "epochs": 7,
    "max_steps": 91,
    "batch_size": 9,
    "accumulate": 3,
    "learning_rate": 1.25e-3,
    "weight_decay": 0.125,
    "decayed": "matrices",
    "beta2": 0.98,
    "schedule": "cosine",
    "warmup_steps": 4,
    "clip_norm": 1.5,
    "average": 0.75,
    "patience": 2,
    "target_f1": 0.875,
    "seed": 2**40,
    "log_every": 3,
    "checkpoint_every": 17,
    "checkpoint_minutes": math.inf,
    "keep_checkpoints": 5,
    "on_nonfinite": "skip",
    "deterministic": True,
    "dtype": "float64",
    "device": "cpu",
    "parallel": "jit",
    "num_devices": 2,
}
HOW_PROCESSES_MEET = {"coordinator": "localhost:1234", "num_processes": 2, "process_id": 1, "join_timeout": 5.0}
NOT_KEPT = {
    "output": Path("somewhere"),
    "resume": True,
    "overwrite": False,
    "verbose": True,
    "allow_changed_data": True,
    **HOW_PROCESSES_MEET,
}


@pytest.fixture
def begun(tmp_path):
    """Begin a run with some options."""

    def begun(**values):
        run = RunDir(tmp_path / "run")
        run.create(make_options(**{"preset": "tiny", **values}), "torch")
        return run

    return begun


def test_every_option_comes_back_from_the_runs_folder(begun):
    names = set(FIELDS)
    assert names == {*OTHER, *NOT_KEPT}
    options = make_options(**OTHER)
    usual = Options().flat()
    assert all(value != usual[name] for name, value in options.flat().items() if name in OTHER)
    assert begun(**OTHER).read_options() == (options, "torch")


@pytest.mark.parametrize("preset", ["tiny", "original"])
def test_the_options_of_a_preset_come_back_too(tmp_path, preset):
    run = RunDir(tmp_path)
    run.create(make_options(preset), "flax")
    assert run.read_options() == (make_options(preset), "flax")


def test_options_of_one_call_are_not_options_of_the_run(begun):
    run = begun(**{**NOT_KEPT, "resume": False, "overwrite": True})
    assert run.read_options() == (make_options("tiny"), "torch")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = ", "not valid TOML: Invalid value"),
        ('epochs = 3\npreset = "tiny"\n', "names no backend; add the one that started the run"),
        ('backend = "torch"\nepoch = 3\n', "unknown option 'epoch'; did you mean 'epochs'?"),
        ('backend = "torch"\npreset = "tinny"\n', "preset must be tiny or base or original, not 'tinny'"),
        ('backend = "torch"\nepochs = 0\n', "epochs must be at least 1, not 0"),
        ('backend = "torch"\nepochs = "many"\n', "epochs must be a whole number, not 'many'"),
    ],
)
def test_options_that_cannot_be_read_are_one_line_that_names_the_file(tmp_path, content, words):
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(InputError) as caught:
        RunDir(tmp_path).read_options()
    assert str(caught.value).startswith(f"{tmp_path}/config.toml: ")
    assert words in str(caught.value)


def test_a_run_made_anew_leaves_nothing_of_the_old_one(tmp_path):
    run = RunDir(tmp_path / "run")
    run.create(make_options("tiny"), "torch")
    for folder in (run.best, run.checkpoints / "3", run.tensorboard):
        folder.mkdir(parents=True)
    for file in (run.metrics, run.curves, run.tokenizer):
        file.write_text("old")
    run.create(make_options("tiny", seed=3), "flax")
    assert [path.name for path in run.folder.iterdir()] == ["config.toml"]
    assert run.read_options() == (make_options("tiny", seed=3), "flax")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run: the run's folder cannot be written"):
        RunDir(tmp_path / "file" / "run").create(make_options("tiny"), "torch")


def test_metrics_are_a_json_object_a_line(begun):
    run = begun()
    assert list(run.records()) == []
    for record in ({"event": "step", "step": 1, "loss": 0.5}, {"event": "skipped"}):
        run.append(record)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == list(run.records())


def test_the_default_folder_names_data_preset_and_twin_and_is_numbered_if_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = make_options(data="some/where/corpus")
    for name in ("corpus-original-flax", "corpus-original-flax-2", "corpus-original-flax-3"):
        run = choose_folder(options, "flax")
        assert run.folder == Path("runs") / name
        run.create(options, "flax")
    assert choose_folder(options, "torch").folder == Path("runs/corpus-original-torch")
    assert choose_folder(make_options(), "torch").folder == Path("runs/sample-tiny-torch")
    here = choose_folder(make_options(data="."), "torch").folder
    assert here == Path(f"runs/{tmp_path.name}-original-torch")


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_without_a_name_the_newest_default_folder_goes_on_or_is_replaced(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    again = make_options(**{how: True})
    assert choose_folder(again, "torch").folder == Path("runs/sample-tiny-torch")
    for _ in range(2):
        choose_folder(make_options(), "torch").create(make_options(), "torch")
    assert choose_folder(again, "torch").folder == Path("runs/sample-tiny-torch-2")


def test_a_named_folder_is_taken_if_it_is_free_or_empty(tmp_path):
    for folder in (tmp_path / "new", tmp_path):
        assert choose_folder(make_options(output=folder), "torch").folder == folder


def test_a_named_folder_that_holds_a_run_is_refused_without_a_word_on_it(begun):
    run = begun()
    with pytest.raises(
        InputError, match="already contains a run; resume it with --resume, or replace it with --overwrite"
    ):
        choose_folder(make_options(output=run.folder), "torch")
    for how in ("resume", "overwrite"):
        assert choose_folder(make_options(output=run.folder, **{how: True}), "torch").folder == run.folder


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_named_folder_that_holds_something_else_is_never_touched(tmp_path, how):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not empty and not a run; choose another --output"):
        choose_folder(make_options(output=tmp_path, **how), "torch")
    with pytest.raises(InputError, match="a file, but a run needs a folder"):
        choose_folder(make_options(output=tmp_path / "letter.txt", **how), "torch")


def resumed(run, preset="tiny", **values):
    """Return the options of resuming ``run`` with typed ``values``."""
    given = make_options(preset, resume=True, output=run.folder, **values)
    return merge_resumed(run, given, {"resume", "output", *values})


def test_options_that_were_not_typed_come_from_the_runs_folder(begun):
    run = begun(seed=5, learning_rate=0.5, data="conll2003")
    options, notes = resumed(run, preset="original")
    assert options == make_options("tiny", seed=5, learning_rate=0.5, data="conll2003", resume=True, output=run.folder)
    assert notes == []


def test_a_run_may_grow(begun):
    run = begun(epochs=3, max_steps=10)
    options, notes = resumed(run, epochs=4, max_steps=11)
    assert (options.optimization.epochs, options.optimization.max_steps, notes) == (4, 11, [])
    assert resumed(run, max_steps=None)[0].optimization.max_steps is None
    assert resumed(run, epochs=3)[0].optimization.epochs == 3


@pytest.mark.parametrize("values", [{"epochs": 2}, {"max_steps": 9}])
def test_a_run_cannot_shrink(begun, values):
    run = begun(epochs=3, max_steps=10)
    with pytest.raises(InputError, match=f"--{next(iter(values)).replace('_', '-')} was"):
        resumed(run, **values)


def test_a_run_without_a_limit_cannot_get_one(begun):
    with pytest.raises(InputError, match="--max-steps was None in this run and cannot become 5 on --resume"):
        resumed(begun(), max_steps=5)


WHERE_IT_RUNS = {"device", "parallel", "num_devices", "accumulate", "deterministic"}
MAY_GROW = {"epochs", "max_steps"}
MAY_CHANGE = {"checkpoint_every", "checkpoint_minutes", "keep_checkpoints", "on_nonfinite"}
MAY_CHANGE |= {"data_license", "vectors_license"}


NEVER_CHANGES = {*OTHER} - WHERE_IT_RUNS - MAY_GROW - MAY_CHANGE - {"preset"}


@pytest.mark.parametrize("name", sorted(NEVER_CHANGES))
def test_an_option_that_alters_results_cannot_change(begun, name):
    run = begun()
    old = make_options("tiny").flat()[name]
    with pytest.raises(InputError) as caught:
        resumed(run, **{name: OTHER[name]})
    assert str(caught.value) == (
        f"{run.folder}: --{name.replace('_', '-')} was {old} in this run and cannot become {OTHER[name]} on --resume; "
        "leave it out, or start a new run"
    )
    assert resumed(run, **{name: old})[1] == []


@pytest.mark.parametrize("name", sorted(WHERE_IT_RUNS))
def test_another_device_is_taken_and_said(begun, name):
    options, notes = resumed(begun(), **{name: OTHER[name]})
    assert options.flat()[name] == OTHER[name]
    old = make_options("tiny").flat()[name]
    assert notes == [f"{name} was {old}, now {OTHER[name]}: numbers agree up to rounding, no longer bit for bit"]


def test_checkpoints_may_come_more_often_or_less(begun):
    options, notes = resumed(begun(checkpoint_every=5), checkpoint_every=3)
    assert (options.run.checkpoint_every, notes) == (3, [])
    assert resumed(begun(checkpoint_every=5))[0].run.checkpoint_every == 5


def test_processes_may_meet_elsewhere(begun):
    options, notes = resumed(begun(), **HOW_PROCESSES_MEET)
    assert {name: options.flat()[name] for name in HOW_PROCESSES_MEET} == HOW_PROCESSES_MEET
    assert notes == []


LOCK = """
import sys, time
from pathlib import Path
from hybridner.runs.run_dir import RunDir
with RunDir(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_the_folder_is_refused_while_the_first_lives(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", LOCK, str(folder)], stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="another process is training here"), RunDir(folder).locked():
            pytest.fail("two runs in one folder")
        first.kill()
    with RunDir(folder).locked():
        assert choose_folder(make_options("tiny", output=folder), "torch").folder == folder


def test_metrics_end_with_the_last_whole_line(tmp_path):
    run = RunDir(tmp_path)
    run.append({"event": "step", "step": 1, "loss": 1.5})
    run.metrics.write_bytes(run.metrics.read_bytes() + b'{"event": "st')
    assert list(run.records()) == [{"event": "step", "step": 1, "loss": 1.5}]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff",
        b"[" * 100_000,
        b"3",
        b"{}",
        b'{"loss": 1}',
        b'{"event": 3}',
        b'{"event": "step", "loss": 1.5}',
        b'{"event": "step", "step": 2, "loss": "low"}',
        b'{"event": "epoch", "epoch": 1, "step": 2, "train_loss": 0.5}',
        b'{"event": "epoch", "epoch": 1, "step": 2, "train_loss": 0.5, "valid": {"precision": 0.5}}',
        b'{"event": "test", "epoch": 1, "step": 2, "valid": {"f1": 0.5}, "test": 0.5}',
    ],
)
def test_a_line_that_is_none_of_metrics_is_named(tmp_path, line):
    run = RunDir(tmp_path)
    run.append({"event": "step", "step": 1, "loss": math.nan})
    run.metrics.write_bytes(run.metrics.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: not a line of a run's metrics"):
        list(run.records())
