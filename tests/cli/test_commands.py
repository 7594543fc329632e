"""The commands as a user types them."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import hybridner
from hybridner.cli import make_app, run
from hybridner.corpora.formats import read_sentences
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS
from hybridner.saved.folder import save_model

TEXTS = ["Anna Tarkin met the mayor of Dorst.", "The river Velmora is long ; who knows ?"]
LONG = " ".join(["who", "knows", "the", "mayor", "of"] * 400)
KNOWN = "Anna B-PER\nTarkin I-PER\nmet O\nthe O\nmayor O\n. O\n\nthe O\nriver O\nVelmora B-LOC\n\n"
UNKNOWN = "on O\nMonday B-DATE\n. O\n\n"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "test.txt").write_text(KNOWN)
    return folder


@pytest.fixture
def typed(capsys):
    """Run a command that must succeed; return its output."""

    def typed(*args):
        assert run([str(arg) for arg in args]) == 0
        return capsys.readouterr()

    return typed


@pytest.fixture
def stdin(monkeypatch):
    def stdin(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return stdin


def predict(saved_model, *args, backend="torch"):
    return ("predict", saved_model, "--backend", backend, "--device", "cpu", *args)


def test_help_and_version_answer(typed):
    assert typed("--help").out == typed().out == typed("-h").out
    names = [name for name in make_app() if not name.startswith("-")]
    assert len(names) == 9
    assert all(f"\n│ {name} " in typed("--help").out for name in names)
    assert typed("--version").out == f"hybridner {hybridner.__version__}\n"


def test_a_text_is_a_json_object_a_line_with_words_tags_and_entities(typed, saved_model):
    printed = typed(*predict(saved_model, *TEXTS))
    assert printed.err == ""
    records = [json.loads(line) for line in printed.out.splitlines()]
    assert [record["text"] for record in records] == TEXTS
    tagger = hybridner.load(saved_model, "torch")
    for record in records:
        text, words = record["text"], record["words"]
        assert [text[word["start"] : word["end"]] for word in words] == [word["text"] for word in words]
        assert len(record["tags"]) == len(words)
        assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in record["entities"])
        expected = tagger.tag(text)
        assert [(e["label"], e["start"], e["end"]) for e in record["entities"]] == [
            (e.label, e.start, e.end) for e in expected
        ]
    assert any(record["entities"] for record in records)


def test_arguments_a_file_and_the_standard_input_are_tagged_alike(typed, saved_model, tmp_path, stdin):
    texts = [*TEXTS, "", "Zoë’s 東京"]
    lines, path = "\n".join(texts).encode(), tmp_path / "input.txt"
    for content in (lines, lines + b"\n", "\ufeff".encode() + lines, lines.replace(b"\n", b"\r\n")):
        path.write_bytes(content)
        for format_ in ("jsonl", "conll", "text"):
            expected = typed(*predict(saved_model, "--format", format_, *texts)).out
            assert typed(*predict(saved_model, "--format", format_, "--input", path)).out == expected
            stdin(content)
            assert typed(*predict(saved_model, "--format", format_)).out == expected


def test_conll_output_is_a_file_that_can_be_read_again(typed, saved_model, tmp_path):
    (tmp_path / "tagged.conll").write_text(typed(*predict(saved_model, "--format", "conll", *TEXTS)).out)
    records = [json.loads(line) for line in typed(*predict(saved_model, *TEXTS)).out.splitlines()]
    sentences = list(read_sentences(tmp_path / "tagged.conll"))
    assert [word for s in sentences for word in s.words] == [w["text"] for r in records for w in r["words"]]
    assert [tag for s in sentences for tag in s.tags] == [tag for r in records for tag in r["tags"]]


def test_text_output_is_an_entity_a_line(typed, saved_model):
    lines = typed(*predict(saved_model, "--format", "text", *TEXTS)).out.splitlines()
    tagger = hybridner.load(saved_model, "torch")
    expected = [f"{e.label}\t{e.text}\t{e.start}\t{e.end}\t{e.score:.3f}" for text in TEXTS for e in tagger.tag(text)]
    assert [line for line in lines if line] == expected


def test_both_twins_predict_the_same(typed, saved_model):
    flax, torch = (typed(*predict(saved_model, "--format", "conll", *TEXTS, backend=b)).out for b in BACKENDS)
    assert flax == torch


def test_windows_are_said_beside_the_output(typed, saved_model):
    printed = typed(*predict(saved_model, LONG, TEXTS[0], "--sentences", "none"))
    assert "1 sentence" in printed.err
    assert "cut into windows" in printed.err
    record = json.loads(printed.out.splitlines()[0])
    assert len(record["tags"]) == len(record["words"]) == 2000
    assert typed(*predict(saved_model, *TEXTS)).err == ""


def evaluate(saved_model, corpus, *args, backend="torch"):
    return ("evaluate", saved_model, "--data", corpus, "--backend", backend, "--device", "cpu", *args)


def test_evaluate_prints_the_scores_and_writes_what_they_count(typed, saved_model, corpus, tmp_path):
    printed = typed(*evaluate(saved_model, corpus, "--json", tmp_path / "scores.json")).out
    assert printed.count("precision") == printed.count("argmax, as the original scores: F1") == 1
    report = json.loads((tmp_path / "scores.json").read_text())
    assert (report["split"], report["backend"], report["model"]) == ("test", "torch", str(saved_model))
    assert report["scores"]["decoded"] is True
    for kind in ("argmax", "scores"):
        scores = report[kind]
        assert "conlleval" in scores["scorer"]
        assert "strict" in scores["strict_scorer"]
        assert (scores["gold"], scores["words"], scores["sentences"]) == (2, 9, 2)
        assert scores["predicted"] == sum(one["predicted"] for one in scores["by_type"].values())
        assert f"{scores['f1']:.4f}" in printed
    assert report["scores"]["invalid_transitions"] == 0


def test_either_twin_counts_the_same(typed, saved_model, corpus, tmp_path):
    reports = []
    for backend in BACKENDS:
        typed(*evaluate(saved_model, corpus, "--json", tmp_path / "scores.json", backend=backend))
        reports.append(json.loads((tmp_path / "scores.json").read_text()))
    assert [report.pop("backend") for report in reports] == list(BACKENDS)
    assert all(report.pop("versions")["hybridner"] == hybridner.__version__ for report in reports)
    errors = [report.pop("calibration") for report in reports]  # of scores, which agree up to rounding
    assert errors[0]["ece"] == pytest.approx(errors[1]["ece"], abs=1e-6)
    assert reports[0] == reports[1]


def test_a_type_the_model_does_not_know_is_a_counted_miss(typed, saved_model, corpus, tmp_path):
    path = tmp_path / "scores.json"
    typed(*evaluate(saved_model, corpus, "--json", path))
    before = json.loads(path.read_text())["scores"]
    (corpus / "test.txt").write_text(KNOWN + UNKNOWN)
    printed = typed(*evaluate(saved_model, corpus, "--json", path)).out
    assert "types the model does not know count as missed: DATE" in printed
    report = json.loads(path.read_text())
    assert any("DATE" in note for note in report["notes"])
    date = report["scores"]["by_type"]["DATE"]
    assert (date["gold"], date["predicted"], date["correct"], date["recall"]) == (1, 0, 0, 0.0)
    assert report["scores"]["gold"] == before["gold"] + 1


def test_evaluate_scores_every_word_of_a_sentence_cut_into_windows_and_says_so(typed, saved_model, corpus, tmp_path):
    words = LONG.split()
    tags = ["B-PER" if word == "mayor" else "O" for word in words]
    rows = "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
    (corpus / "test.txt").write_text(f"{KNOWN}{rows}\n")
    printed = typed(*evaluate(saved_model, corpus, "--json", tmp_path / "scores.json")).out
    assert "cut into windows" in printed
    report = json.loads((tmp_path / "scores.json").read_text())
    assert report["num_windowed"] == 1
    assert report["scores"]["words"] == 9 + 2000
    assert report["scores"]["gold"] == 2 + tags.count("B-PER")


@pytest.fixture
def train(typed, corpus, tmp_path):
    """Train one step of a small model on the corpus; return the output."""
    options = {
        "preset": "original",
        "hidden-size": 16,
        "num-heads": 2,
        "num-encoder-layers": 1,
        "vocab-size": 200,
        "max-length": 16,
    }
    args = [word for name, value in options.items() for word in (f"--{name}", value)]
    (corpus / "train.txt").write_text(KNOWN * 10)
    (corpus / "valid.txt").write_text(KNOWN)

    def train():
        output = ("--data", corpus, "--output", tmp_path / "run")
        return typed("train", "--backend", "torch", "--max-steps", 1, *output, *args).out

    return train


def test_training_says_how_many_sentences_are_cut_into_windows(train, corpus):
    (corpus / "train.txt").write_text(KNOWN * 10 + "".join(f"{word} O\n" for word in LONG.split()[:100]))
    printed = " ".join(train().split())
    for said in ("train 21 sentences, 190 words", "dev 2 sentences, 9 words", "test 2 sentences, 9 words"):
        assert said in printed
    assert "1 of train" in printed
    assert "windows" in printed


def test_a_run_without_a_test_split_has_no_test_score(train, corpus, tmp_path):
    (corpus / "test.txt").unlink()
    assert "test split" not in train()
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["test"]) == ("test", None)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_model_converted_there_and_back_is_the_same_bytes(typed, saved_model, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    assert str(there) in typed("convert", saved_model, there, "--to", "flax").out
    assert (there / "model.orbax").is_dir()
    assert not (there / "model.safetensors").exists()
    typed("convert", there, back, "--to", "torch")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (back / name).read_bytes() == (saved_model / name).read_bytes()
    header, expected = (json.loads((folder / "config.json").read_text()) for folder in (back, saved_model))
    assert {key: header[key] for key in ("model", "labels")} == {key: expected[key] for key in ("model", "labels")}
    tags = [typed(*predict(folder, "--format", "conll", *TEXTS)).out for folder in (there, saved_model)]
    assert tags[0] == tags[1]


def test_what_is_converted_stays_as_it_was(typed, saved_model, tmp_path):
    source = shutil.copytree(saved_model, tmp_path / "source")
    typed("convert", source, tmp_path / "there", "--to", "torch")
    assert files_of(source) == files_of(saved_model)


def test_a_blank_line_stands_between_the_sentences_of_a_text_too(typed, saved_model):
    out = typed(*predict(saved_model, "--format", "conll", "Anna sleeps. The mayor knows.", "Who?")).out
    assert [block.count("\n") + 1 for block in out.strip("\n").split("\n\n")] == [3, 4, 2]


def test_half_a_surrogate_pair_is_a_word_like_any_other(saved_model):
    assert len(hybridner.load(saved_model, "torch").tag_words(["\ud800", "Dorst"])) == 2


def test_any_text_is_printed_whatever_the_locale(saved_model):
    code = "import sys; from hybridner.cli import main; sys.argv[0] = 'hybridner'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, predict(saved_model, "Zoë 東京 \udce9"))],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert "Zoë" in done.stdout.decode()


def test_dev_is_a_name_of_the_valid_split(typed, saved_model, corpus):
    (corpus / "test.txt").rename(corpus / "valid.txt")
    evaluate = ("evaluate", saved_model, "--data", corpus, "--backend", "torch", "--device", "cpu")
    assert typed(*evaluate, "--split", "dev").out == typed(*evaluate, "--split", "valid").out
    with pytest.raises(InputError, match="no test split; there are valid"):
        run([str(arg) for arg in evaluate])


def test_a_report_names_what_it_was_computed_with(typed, saved_model, corpus, tmp_path):
    typed("evaluate", saved_model, "--data", corpus, "--backend", "torch", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"device", "dtype", "versions", "repairs", "split", "backend", "model"} <= set(report)
    assert {"hybridner", "torch"} == set(report["versions"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("predict", "MODEL", "text", "--input", "file.txt"), "exclude each other"),
        (("evaluate", "MODEL", "--data", "sample", "--json", "nowhere/x.json"), "there is no folder nowhere"),
        (("evaluate", "MODEL", "--data", "sample", "--split", "tets"), "unknown split 'tets'"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(saved_model, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        run([str(saved_model) if arg == "MODEL" else arg for arg in args])


def test_weights_that_are_not_finite_are_said_to_be_damaged(model, tmp_path):
    broken = {name: np.full_like(value, np.nan) for name, value in model.weights.items()}
    save_model(tmp_path / "broken", dataclasses.replace(model, weights=broken))
    with pytest.raises(InputError, match="not finite: its weights are damaged"):
        hybridner.load(tmp_path / "broken", "torch").tag("Anna sleeps.")
