"""The command in a shell: a fast start, help with examples that work, completions, JSON, exit codes."""

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys

import pytest

from hybridner.cli import make_app, run
from hybridner.cli.examples import examples
from hybridner.cli.parse import CLOSED_PIPE, INTERRUPTED, USER_ERROR
from hybridner.model.weights import initial_weights
from hybridner.saved.folder import save_model
from tests.sizes import resized

HEAVY = {"numpy", "jax", "flax", "torch", "datasets", "pyarrow", "matplotlib", "tokenizers", "yaml"}
_APP = make_app()
_COMMANDS = [name for name in _APP if not name.startswith("-")]
ALL = [*_COMMANDS, *(f"data {name}" for name in _APP["data"] if not name.startswith("-"))]


def heavy_after(code):
    code += f"\nimport sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_and_asking_for_help_load_nothing_heavy():
    assert heavy_after("import hybridner") == []
    assert heavy_after("from hybridner.cli import run; run(['--help'])") == []
    assert heavy_after("from hybridner.cli import run; run(['--version'])") == []


@pytest.mark.parametrize("command", ALL)
def test_the_help_of_a_command_loads_no_framework_and_no_reader_of_data(command):
    assert heavy_after(f"from hybridner.cli import run\nrun([*{command.split()!r}, '--help'])") == []


def help_of(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ALL)
def test_the_help_of_every_command_ends_with_examples_whose_options_it_has(command, capsys, monkeypatch):
    printed = help_of(command, capsys, monkeypatch)
    before, ended = printed.rsplit("\nexamples:\n", 1)
    lines = ended.splitlines()
    assert lines == examples(f"hybridner {command}").splitlines()[1:]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[: 1 + len(command.split())] == ["hybridner", *command.split()]
        own = help_of(f"data {words[2]}", capsys, monkeypatch) if command == "data" else before
        for option in (word for word in words if word.startswith("--")):
            assert f"{option} " in own.replace(",", " ")


def test_the_scripts_help_ends_with_the_same_examples_in_their_own_name():
    _, *lines = [line.strip() for line in examples("train_flax.py").splitlines()]
    assert len(lines) >= 3
    assert all(line.startswith("python train_flax.py ") and "--backend" not in line for line in lines)


def test_the_help_names_every_command_and_every_exit_code(capsys):
    assert run([]) == 0
    printed = capsys.readouterr().out
    for name in _COMMANDS:
        assert f"\n│ {name} " in printed
    for code in (0, 1, USER_ERROR, INTERRUPTED, CLOSED_PIPE, 143):
        assert f"\n  {code} " in printed.rsplit("exit codes:", 1)[1]


def test_the_help_of_train_shows_five_groups_and_the_defaults_for_ones_own_data(capsys, monkeypatch):
    printed = help_of("train", capsys, monkeypatch)
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("╭")] == [
        "Data", "Model", "Optimization", "Run", "Devices",
    ]  # fmt: skip
    assert "[default: 50; for the sample corpus 10]" in printed
    assert "[default: 64; for the sample corpus 16]" in printed


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """Return bash's completions, with the printed script sourced in a folder that contains a model."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    folder = tmp_path_factory.mktemp("shell")
    (folder / "models" / "best").mkdir(parents=True)
    (folder / "texts.txt").touch()
    (folder / "hybridner.bash").write_text(make_app().generate_completion(shell="bash"))

    def complete(*words):
        code = """
        source hybridner.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        $(complete -p hybridner | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        printf '%s\\n' "${COMPREPLY[@]}"
        """
        done = subprocess.run(
            ["bash", "--norc", "-c", code, "bash", *words], cwd=folder, capture_output=True, text=True, check=True
        )
        return sorted(done.stdout.splitlines())

    return complete


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hybridner eva", ["evaluate"]),
        ("hybridner com", ["compare", "completions"]),
        ("hybridner predict --fo", ["--format"]),
        ("hybridner train --data-", ["--data-license"]),
        ("hybridner train --no-lower", ["--no-lower-case"]),
        ("hybridner data ch", ["check"]),
        ("hybridner data check x --stri", ["--strict"]),
        ("hybridner verify x --dtype float6", ["float64"]),
        ("hybridner predict mo", ["models"]),
        ("hybridner predict --input te", ["texts.txt"]),
    ],
)
def test_bash_completes_commands_options_values_and_files(bash, typed, completed):
    assert bash(*typed.split()) == completed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_that_names_every_command_and_option(shell, capsys):
    assert run(["completions", shell]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in _COMMANDS)
    assert "checkpoint-minutes" in printed


def test_the_verdict_on_two_models_is_one_json_object_on_the_standard_output(model, saved_model, tmp_path, capsys):
    config = resized(model.config, hidden_size=8)
    save_model(tmp_path / "b", dataclasses.replace(model, config=config, weights=initial_weights(config, 1)))
    assert run(["verify", str(saved_model), str(tmp_path / "b"), "--json", "-"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["a"].startswith(str(saved_model))
    assert "NOT the same: model, encoder.hidden_size 32 against 8" in printed.err


def test_a_conversion_says_in_json_what_it_did(saved_model, tmp_path, capsys):
    arguments = ["convert", str(saved_model), str(tmp_path / "new"), "--to", "torch"]
    assert run([*arguments, "--json", "-"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["source"], report["destination"], report["to"]) == (*arguments[1:3], "torch")
    assert [report["done"], *report["notes"]] == printed.err.splitlines()


def test_json_in_a_file_leaves_the_standard_output_to_people(saved_model, tmp_path, capsys):
    arguments = ["convert", str(saved_model), str(tmp_path / "new"), "--to", "torch"]
    assert run([*arguments, "--json", str(tmp_path / "report.json")]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(json.loads((tmp_path / "report.json").read_text())["done"])
    assert printed.err == ""
