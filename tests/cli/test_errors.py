"""Bad input: one clear line, exit code 2, nothing half-written."""

import subprocess
import sys
from pathlib import Path

import pytest

from hybridner.cli import run as hybridner
from hybridner.cli.parse import CLOSED_PIPE, guarded
from hybridner.errors import InputError

ROWS = "Anna B-PER\nsleeps O\n\nin O\nDorst B-LOC\n"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.txt").write_text(ROWS * 20)
    (folder / "valid.txt").write_text(ROWS)
    return folder


@pytest.fixture
def fails(tmp_path, capsys, monkeypatch):
    """Run a command that must fail; return its message."""
    monkeypatch.chdir(tmp_path)

    def fails(*args):
        before = sorted(tmp_path.rglob("*"))
        code = guarded(lambda: hybridner([str(arg) for arg in args]))
        printed = capsys.readouterr()
        assert code == 2
        assert printed.err.count("\n") == 1, printed.err
        assert "Traceback" not in printed.err
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err

    return fails


def train(*args):
    return ("train", "--backend", "torch", "--preset", "tiny", "--max-steps", "1", *args)


def test_a_missing_folder(fails):
    assert "no such folder" in fails(*train("--data", "./nowhere"))


def test_a_missing_train_split(fails, corpus):
    (corpus / "train.txt").rename(corpus / "test.txt")
    assert "no train split" in fails(*train("--data", corpus))


def test_an_empty_file(fails, corpus):
    (corpus / "train.txt").write_text("\n\n")
    assert "train.txt: no sentence" in fails(*train("--data", corpus))


@pytest.mark.parametrize("tag", ["PER", "B_PER", "b-per"])
def test_a_tag_of_another_shape(fails, corpus, tag):
    (corpus / "train.txt").write_text(f"{ROWS}Anna {tag}\n")
    assert f"train.txt:6: tag {tag!r}" in fails(*train("--data", corpus))


def test_a_row_with_too_few_columns(fails, corpus):
    (corpus / "train.txt").write_text(f"{ROWS}Anna\n")
    assert "train.txt:6: a row of 1 column" in fails(*train("--data", corpus))


def test_a_file_that_is_not_utf8(fails, corpus):
    (corpus / "train.txt").write_bytes(ROWS.encode() + "Zoë B-PER\n".encode("latin-1"))
    assert "train.txt:6: not UTF-8" in fails(*train("--data", corpus))


def test_a_sentence_of_no_words(fails, corpus):
    (corpus / "train.txt").unlink()
    (corpus / "train.jsonl").write_text('{"words": [], "tags": []}\n')
    assert "train.jsonl:1: no word in it" in fails(*train("--data", corpus))


def test_a_type_in_dev_that_train_does_not_have(fails, corpus):
    (corpus / "valid.txt").write_text("It O\nrains B-EVENT\n")
    assert "valid.txt:1: type 'EVENT'" in fails(*train("--data", corpus))


def test_a_hidden_size_that_the_heads_do_not_divide(fails):
    assert "hidden_size 100 is not divisible by num_heads 8" in fails(
        *train("--hidden-size", "100", "--num-heads", "8")
    )


@pytest.mark.parametrize(
    ("typed", "meant"), [("--epoch", "--epochs"), ("--learning_rat", "--learning-rate"), ("--dropuot", "--dropout")]
)
def test_a_misspelt_option_is_answered_with_the_nearest(fails, typed, meant):
    assert f"Did you mean {meant}?" in fails(*train(typed, "1"))


def test_a_value_of_the_wrong_kind(fails):
    assert "--epochs" in fails(*train("--epochs", "many"))
    assert "--seed must be a whole number, not '2.5'" in fails(*train("--seed", "2.5"))
    assert "--dtype" in fails(*train("--dtype", "float16"))


def test_a_misspelt_command(fails):
    assert 'Did you mean "train"?' in fails("trian")


def test_an_output_folder_that_holds_a_run(fails, tmp_path, corpus):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text('backend = "torch"\npreset = "tiny"\n')
    said = fails(*train("--data", corpus, "--output", run))
    assert "already contains a run" in said
    assert "--resume" in said
    assert "--overwrite" in said


def test_an_output_folder_that_holds_something_else(fails, tmp_path, corpus):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    assert "not empty and not a run" in fails(*train("--data", corpus, "--output", tmp_path / "home"))


def test_the_hub_out_of_reach(fails, monkeypatch):
    import datasets

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    assert "give a folder" in fails(*train("--data", "conll2003"))


def test_a_model_that_is_not_there(fails, tmp_path):
    assert "no such file or folder" in fails("predict", tmp_path / "nowhere", "text")
    assert "neither a run nor a model folder" in fails("evaluate", tmp_path, "--data", "sample")


def test_a_destination_that_is_taken(fails, saved_model, tmp_path):
    (tmp_path / "taken").mkdir()
    assert "is there already" in fails("convert", saved_model, tmp_path / "taken", "--to", "flax")


@pytest.mark.parametrize("script", ["train_flax.py", "train_torch.py"])
def test_the_scripts_end_with_one_line_and_exit_code_2(script, tmp_path):
    path = Path(__file__).parents[2] / script
    done = subprocess.run([sys.executable, path, "--epoch", "3"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: Unknown option: --epoch. Did you mean --epochs?\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("train", "--help"), ("--help",)])
def test_a_reader_that_stops_early_is_no_error(arguments):
    code = "from hybridner.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as p:
        p.stdout.close()
        assert p.stderr.read() == b""
    assert p.returncode in (0, CLOSED_PIPE)


def test_an_error_is_one_line_of_bounded_length_whatever_the_file_that_it_quotes_holds():
    assert str(InputError("row 'a \n\t b\r\n\u2028c\x1b[2J\x00d'")) == "row 'a b c\\x1b[2J\\x00d'"
    for long in ("x" * 100_000, "\x1b" * 1400, "\n" * 3000, "\n \x00" * 1000):
        message = str(InputError(f"first {long} last"))
        assert len(message) <= 1500
        assert message.isprintable()
        assert message.startswith("first ")
        assert message.endswith(" last")
