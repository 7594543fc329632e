"""Options from TOML and YAML files."""

from pathlib import Path

import pytest

import hybridner
import hybridner.training.train
from hybridner.cli import run
from hybridner.cli.parse import guarded
from hybridner.config.file import read_config
from hybridner.config.options import FIELDS
from hybridner.config.presets import make_options
from hybridner.errors import InputError

TOML = """
data = "my/corpus"
epochs = 3
learning_rate = 1e-3
dropout = 0
lower_case = true
clip_norm = 2
output = "runs/mine"
schedule = "cosine"
"""
YAML = """
data: my/corpus
epochs: 3
learning_rate: 1e-3
dropout: 0
lower_case: true
clip_norm: 2
output: runs/mine
schedule: cosine
patience: null
"""
VALUES = {
    "data": "my/corpus",
    "epochs": 3,
    "learning_rate": 1e-3,
    "dropout": 0.0,
    "lower_case": True,
    "clip_norm": 2.0,
    "output": Path("runs/mine"),
    "schedule": "cosine",
}


@pytest.fixture
def written(tmp_path):
    def written(content, suffix=".toml"):
        path = tmp_path / f"options{suffix}"
        path.write_text(content)
        return path

    return written


@pytest.fixture
def taken(monkeypatch):
    """Return the options that training received."""
    taken = []
    monkeypatch.setattr(hybridner.training.train, "run_training", lambda *args: taken.append(args))
    return taken


def test_toml_and_yaml_say_the_same(written):
    toml, *yaml = read_config(written(TOML)), *(read_config(written(YAML, suffix)) for suffix in (".yaml", ".yml"))
    assert toml.values == VALUES
    assert [config.values for config in yaml] == [{**VALUES, "patience": None}] * 2
    assert [config.options for config in (toml, *yaml)] == [make_options(**VALUES)] * 3
    assert all(type(toml.values[name]) is type(value) for name, value in VALUES.items())


def test_a_file_without_options_sets_none(written):
    assert read_config(written("")) == read_config(written("# nothing yet\n", ".yaml")) == (make_options(), {}, None)


@pytest.mark.parametrize("number", ["3e-4", "3E-4", "+3e-4", "3.0e-4", "0.0003", "1_000e-3"])
def test_yaml_numbers_are_numbers_however_they_are_written(written, number):
    assert read_config(written(f"learning_rate: {number}", ".yaml")).values == {"learning_rate": float(number)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('epochs = "ten"', "epochs must be a whole number, not 'ten'"),
        ("epochs = 2.5", "epochs must be a whole number, not 2.5"),
        ("epochs = true", "epochs must be a whole number, not true"),
        ("epochs = [1]", "epochs must be a whole number, not [1]"),
        ('learning_rate = "fast"', "learning_rate must be a number, not 'fast'"),
        ("use_lstm = 1", "use_lstm must be true or false, not 1"),
        ('clip_norm = "1"', "clip_norm must be a number, not '1'"),
        ("data = 3", "data must be text, not 3"),
        ("output = 3", "output must be a path, not 3"),
        ('schedule = "cosin"', "schedule must be constant or linear or cosine, not 'cosin'"),
        ("backend = 3", "backend must be text, not 3"),
        ("epoch = 3", "unknown option 'epoch'; did you mean 'epochs'?"),
        ("learning-rate = 3", "unknown option 'learning-rate'; did you mean 'learning_rate'?"),
        ("[training]\nepochs = 3", "unknown option 'training'"),
        ("config = 'other.toml'", "unknown option 'config'"),
        ("epochs = 0", "epochs must be at least 1, not 0"),
        ("hidden_size = 30", "hidden_size 30 is not divisible by num_heads 4"),
        (f"epochs = 0x{'F' * 6000}", "epochs must be a whole number, not a value with a number too long to print"),
        (f"epochs = [0x{'F' * 6000}]", "epochs must be a whole number, not a value with a number too long to print"),
        (f"learning_rate = 1{'0' * 400}", "learning_rate must be a number, not 1000000"),
        (f"epochs = {'9' * 5000}", "not valid TOML: Exceeds the limit (4300 digits)"),
        (f"epochs = {'[' * 5000}", "not valid TOML: maximum recursion depth exceeded"),
        (f"epochs = {'{a = ' * 100}1{'}' * 100}", "epochs must be a whole number, not {'a': {'a': "),
        (f"{'a.' * 20_000}b = 1", "longer than 32 KiB"),
        ("epochs == 3", "not valid TOML: Invalid value (at line 1, column 9)"),
        ("epochs = 1\nepochs = 2", "not valid TOML: Cannot overwrite a value (at "),
    ],
)
def test_a_mistake_in_toml_names_the_file_and_the_key(written, line, words):
    path = written(line)
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {words}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs: ten", ": epochs must be a whole number, not 'ten'"),
        ("epochs: 2021-01-01", ": epochs must be a whole number, not datetime.date(2021, 1, 1)"),
        ("epochs:", ": epochs must be a whole number, not None"),
        ("epoch: 3", ": unknown option 'epoch'; did you mean 'epochs'?"),
        ("3: epochs", ": unknown option 3; there are "),
        ("epochs: [1", ":1: not valid YAML: expected ',' or ']'"),
        ("data: a\x00b", ": not valid YAML: "),
        ("a: !!python/object/apply:os.getcwd []", ":1: not valid YAML: could not determine a constructor"),
        ("ten epochs", ": expected lines such as 'epochs: 10', not a list"),
        ("- epochs", ": expected lines such as 'epochs: 10', not a list"),
    ],
)
def test_a_mistake_in_yaml_names_the_file_and_the_key(written, content, words):
    path = written(content, ".yaml")
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}{words}")


def test_yaml_whose_aliases_stand_for_more_than_memory_holds_is_refused_at_once(written):
    doubled = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    with pytest.raises(InputError, match="unknown option 'a0'"):
        read_config(written(f"a0: &a0 [x, x]\n{doubled}", ".yaml"))
    with pytest.raises(InputError, match=r"epochs must be a whole number, not \[\["):
        read_config(written("epochs: &a [*a]\n", ".yaml"))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.toml: cannot be read \(No such file"):
        read_config(tmp_path / "nowhere.toml")
    (tmp_path / "x.toml").write_bytes(b"data = '\xff'")
    with pytest.raises(InputError, match=r"x.toml: not UTF-8 \(byte 8\)"):
        read_config(tmp_path / "x.toml")


def test_the_command_line_comes_before_the_file_and_the_file_before_the_preset(written, taken):
    path = written('preset = "tiny"\nbatch_size = 7\nseed = 5\n')
    run(["train", "--backend", "torch", "--config", str(path), "--seed", "6", "--data", "my/corpus"])
    backend, options, explicit = taken.pop()
    assert options == make_options("tiny", data="my/corpus", batch_size=7, seed=6)
    assert explicit == {"preset", "batch_size", "seed", "data"}
    run(["train", "--backend", "torch", f"--config={path}", "--preset=original"])
    assert taken.pop()[1] == make_options("original", batch_size=7, seed=5)
    hybridner.train(config=path, backend=backend, seed=6, data="my/corpus")
    assert taken.pop() == (backend, options, explicit)


def test_a_mistake_names_the_file_only_where_the_file_may_have_made_it(written):
    path = written("epochs = 3\n")
    with pytest.raises(InputError) as caught:
        read_config(path, epochs="ten")
    assert str(caught.value) == "epochs must be a whole number, not 'ten'"
    with pytest.raises(InputError) as caught:
        read_config(path, accumulate=65)
    assert str(caught.value).startswith(f"{path} with the options given: accumulate 65 is more parts than ")


def test_a_file_names_the_twin_unless_the_command_does(written, taken):
    path = written('backend = "torch"\n')
    run(["train", "--config", str(path)])
    hybridner.train(config=str(path))
    run(["train", "--config", str(path), "--backend", "flax"])
    assert [backend for backend, _, _ in taken] == ["torch", "torch", "flax"]


def test_options_in_python_are_checked_too(taken):
    with pytest.raises(InputError) as caught:
        hybridner.train("torch", epochs="ten")
    assert str(caught.value) == "epochs must be a whole number, not 'ten'"
    hybridner.train("torch", output="runs/mine", learning_rate=1)
    assert taken.pop()[1] == make_options(output=Path("runs/mine"), learning_rate=1.0)


def test_every_option_can_stand_in_a_file(written):
    """The check would refuse every value of a type that it does not know."""
    for name in FIELDS:
        with pytest.raises(InputError, match=f": {name} must be "):
            read_config(written(f"{name} = [[]]"))
    plain = {f.name: f.default for f in FIELDS.values() if f.default is not None}
    lines = [f"{name} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for name, v in plain.items()]
    assert read_config(written("\n".join(lines))).values == plain


def test_a_mistake_in_a_file_is_one_line_and_exit_code_2(written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = written('epochs = "ten"')
    assert guarded(lambda: run(["train", "--backend", "torch", "--config", str(path)])) == 2
    assert capsys.readouterr().err == f"error: {path}: epochs must be a whole number, not 'ten'\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_runs_own_file_repeats_the_run(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("Anna B-PER\nsleeps O\n\nin O\nDorst B-LOC\n\n" * 9)
    sizes = {"hidden_size": 16, "num_heads": 2, "num_encoder_layers": 1, "vocab_size": 100, "max_length": 16}
    values = {
        **sizes,
        "preset": "original",
        "epochs": 2,
        "batch_size": 5,
        "average": 0.9,
        "clip_norm": 0.5,
        "overwrite": True,
    }
    first = hybridner.train("torch", data=str(folder), output=tmp_path / "first", **values).folder
    run(["train", "--config", str(first / "config.toml"), "--output", str(tmp_path / "second")])
    for name in ("config.toml", "tokenizer.json", "best/model.safetensors", "best/config.json"):
        assert (first / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
