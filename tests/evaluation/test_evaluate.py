"""Evaluation and comparison of saved models, in Python and on the command line."""

import dataclasses
import json
import re

import pytest

import hybridner
from hybridner.cli import run
from hybridner.corpora.labels import labels_of
from hybridner.corpora.schemes import entity_spans
from hybridner.errors import InputError
from hybridner.evaluation.analysis import KINDS
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.compare import compare
from hybridner.evaluation.comparison_report import comparison_page, comparison_text
from hybridner.evaluation.evaluate import evaluate, predict, read_labelled
from hybridner.evaluation.evaluation_report import evaluation_page, evaluation_text
from hybridner.evaluation.scoring import score
from hybridner.model.weights import initial_weights
from hybridner.saved.folder import save_model

SENTENCES = [
    "Anna B-PER\nTarkin I-PER\nmet O\nthe O\nmayor O\nof O\nDorst B-LOC\n",
    "the O\nriver O\nVelmora B-LOC\nis O\nlong O\n",
    "<b> B-ORG\n& I-ORG\nSons I-ORG\nsay O\nthey O\nknow O\nAnna B-PER\n",
]
TRAIN = "Anna B-PER\nTarkin I-PER\nknows O\nVelmora B-LOC\n"


def documents(number):
    return "".join(f"-DOCSTART- O\n\n{SENTENCES[i % 3]}\n{SENTENCES[(i + 1) % 3]}\n" for i in range(number))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "train.txt").write_text(TRAIN)
    (folder / "test.txt").write_text(documents(12))
    return folder


@pytest.fixture(scope="module")
def tagger(saved_model):
    return hybridner.load(saved_model, "torch", device="cpu")


@pytest.fixture(scope="module")
def other_model(model, tmp_path_factory):
    """Save a model with other weights, and with the type DATE instead of MISC."""
    labels = labels_of(["PER", "ORG", "LOC", "DATE"])
    path = tmp_path_factory.mktemp("other") / "saved"
    save_model(path, dataclasses.replace(model, labels=labels, weights=initial_weights(model.config, 5)))
    return path


@pytest.fixture(scope="module")
def evaluation(tagger, folder):
    return evaluate(tagger, str(folder))


@pytest.fixture(scope="module")
def comparison(tagger, other_model, folder):
    return compare(tagger, hybridner.load(other_model, "torch", device="cpu"), str(folder))


def test_the_interval_is_that_of_the_tags_over_documents(evaluation, tagger, folder):
    data = read_labelled(str(folder))
    prediction = predict(tagger, data)
    units = resampling_units(len(data.gold), [sentence.document for sentence in data.sentences])
    assert (data.units.kind, data.units.count) == ("documents", 12)
    assert evaluation.f1_interval == interval_of_counts(entity_counts(data.gold, prediction.tags, units))
    assert sum(evaluation.analysis.kinds.values()) >= evaluation.scores.predicted > 0
    assert evaluation.to_dict()["bootstrap"] == {
        "unit": "documents", "units": 12, "resamples": 2000, "confidence": 0.95, "seed": 0,
    }  # fmt: skip


def test_the_scores_are_those_of_the_tags_that_predict_returns(evaluation, tagger, folder):
    data = read_labelled(str(folder))
    tags = [tagger.tag_words(sentence.words) for sentence in data.sentences]
    assert evaluation.scores == score(data.gold, tags)
    assert (evaluation.scores.invalid_transitions, evaluation.scores.strict_f1) == (0, evaluation.scores.f1)


def test_a_model_of_the_originals_has_the_argmax_score_beside_its_own_once(evaluation, tagger, folder):
    data = read_labelled(str(folder))
    argmax = score(data.gold, [tagger.tag_words(sentence.words, raw=True) for sentence in data.sentences])
    assert evaluation.argmax == argmax != evaluation.scores
    assert evaluation.to_dict()["argmax"] == argmax.to_dict()
    for report in (evaluation_text(evaluation, 120), evaluation_page(evaluation)):
        assert f"argmax, as the original scores: F1 {argmax.f1:.4f} (P {argmax.precision:.4f}" in report
        assert report.count("argmax") == 1


def test_another_model_has_no_argmax_score(model, folder, tmp_path):
    config = dataclasses.replace(model.config, encoder=dataclasses.replace(model.config.encoder, activation="gelu"))
    save_model(tmp_path / "other", dataclasses.replace(model, config=config))
    other = evaluate(hybridner.load(tmp_path / "other", "torch", device="cpu"), str(folder))
    assert other.argmax is other.to_dict()["argmax"] is None
    assert "argmax" not in evaluation_text(other) + evaluation_page(other)


def test_the_calibrated_scores_are_those_of_the_predicted_entities(evaluation, tagger, folder):
    data = read_labelled(str(folder))
    prediction = predict(tagger, data)
    right = []
    for sentence, tags, scored in zip(data.sentences, prediction.tags, prediction.scored, strict=True):
        assert [span for span, _ in scored] == entity_spans(tags)
        right += [(score, span in entity_spans(sentence.tags)) for span, score in scored]
        words = " ".join(sentence.words)
        if re.fullmatch(r"[\w ]+", words):
            assert [score for _, score in scored] == pytest.approx([e.score for e in tagger.tag(words, "none")])
    calibration = evaluation.calibration
    assert calibration.count == len(right) == evaluation.scores.predicted > 0
    assert calibration.mean_score == pytest.approx(sum(score for score, _ in right) / len(right))
    assert calibration.right == pytest.approx(evaluation.scores.precision)


def test_seen_entities_are_those_of_the_train_split_or_of_another_file(evaluation, tagger, folder, tmp_path):
    seen = evaluation.analysis.seen
    # Train contains Velmora and Anna Tarkin, each in 8 of the 24 sentences, but not Dorst, <b> & Sons and Anna.
    assert (seen["gold_seen"].total, seen["gold_unseen"].total) == (16, 24)
    assert evaluation.data.train_name == str(folder / "train.txt")
    path = tmp_path / "more.txt"
    path.write_text("Dorst B-LOC\n")
    for train in (str(path), str(folder)):
        other = evaluate(tagger, str(folder / "test.txt"), train=train).analysis.seen
        assert (other["gold_seen"].total, other["gold_unseen"].total) == ((8, 32) if train == str(path) else (16, 24))


def test_a_single_labelled_file_is_scored_as_the_split_it_is(evaluation, tagger, folder):
    of_file = evaluate(tagger, str(folder / "test.txt"))
    assert of_file.scores == evaluation.scores
    assert (of_file.data.name, of_file.data.split) == (str(folder / "test.txt"), None)
    assert of_file.analysis.seen is None
    assert evaluation_text(of_file).startswith(f"{folder / 'test.txt'}, on cpu\n")
    assert str(folder / "test.txt") in evaluation_page(of_file)
    with pytest.raises(InputError, match="a file, which has no dev split; leave --split out"):
        evaluate(tagger, str(folder / "test.txt"), "valid")


@pytest.mark.parametrize("alias", ["valid", "dev", "testa"])
def test_a_report_names_the_dev_split_by_one_name(tagger, tmp_path, alias):
    (tmp_path / "valid.txt").write_text(SENTENCES[0])
    of_dev = evaluate(tagger, tmp_path, alias)
    assert evaluation_text(of_dev).startswith(f"{tmp_path.name}, dev split, on cpu\n")
    assert "valid split" not in evaluation_page(of_dev)


def test_the_notes_on_a_file_are_those_on_a_split(tagger, tmp_path):
    (tmp_path / "test.txt").write_text("Anna I-PER\nand O\nVelmora I-LOC\nDorst B-LOC\n")
    notes = evaluate(tagger, str(tmp_path / "test.txt")).notes
    assert notes == evaluate(tagger, str(tmp_path)).notes
    assert any("scheme IOB1" in note for note in notes)


def test_the_train_split_has_no_scores_of_seen_entities(tagger, folder):
    assert evaluate(tagger, str(folder), "train").analysis.seen is None


def test_the_report_contains_the_numbers_and_is_no_wider_than_the_terminal(evaluation):
    for width in (40, 80, 120):
        text = evaluation_text(evaluation, width)
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
        assert f"F1 {evaluation.scores.f1:.4f}, 95 % interval" in text
        assert "12 documents" in " ".join(text.split())
        for kind in KINDS:
            assert f"\n{kind} " in text
    low, high = evaluation.f1_interval
    assert f"{low:.4f} to {high:.4f} (bootstrap, 12 documents" in " ".join(evaluation_text(evaluation).split())


def test_the_page_needs_nothing_but_itself_and_shows_words_as_text(evaluation):
    page = evaluation_page(evaluation)
    assert "<b> &" not in page
    assert "&lt;b&gt; &amp; Sons" in page
    assert not re.search(r"https?:|<script|<link|url\(|@import", page)
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,30})', page)
    assert len(sources) == 4  # two pictures, each in light and dark
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert page.count('alt="') == 2


def test_a_model_that_finds_nothing_has_a_report(model, folder, tmp_path):
    bias = model.weights["classifier.bias"].copy()
    bias[0] = 100
    save_model(tmp_path / "silent", dataclasses.replace(model, weights={**model.weights, "classifier.bias": bias}))
    silent = evaluate(hybridner.load(tmp_path / "silent", "torch", device="cpu"), str(folder))
    assert (silent.scores.predicted, silent.calibration.ece) == (0, None)
    assert silent.f1_interval == (0.0, 0.0)
    assert "No entity was predicted." in evaluation_text(silent)
    assert "No entity was predicted." in evaluation_page(silent)
    assert json.loads(json.dumps(silent.to_dict()))["scores"]["seen"]["predicted_seen"]["precision"] is None
    (tmp_path / "nothing.txt").write_text("long O\n")
    tagger = hybridner.load(tmp_path / "silent", "torch", device="cpu")
    assert "<img" not in evaluation_page(evaluate(tagger, str(tmp_path / "nothing.txt")))
    both = compare(tagger, tagger, str(tmp_path / "nothing.txt"))
    assert "A and B tag all 1 words alike." in comparison_text(both)
    assert "<img" not in comparison_page(both)


def test_types_of_any_name_can_be_drawn(tagger, tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"Anna B-{kind}\n\n" for kind in ("$x$", "$", "都市", "a_{b")))
    page = evaluation_page(evaluate(tagger, str(tmp_path / "names.txt")))
    assert all(f"<td>{kind}</td>" in page for kind in ("$x$", "$", "都市", "a_{b"))


def test_data_of_very_many_types_have_a_report(tagger, tmp_path):
    rows = "".join(f"the O\nAnna B-T{i:03}\n\n" for i in range(200))
    (tmp_path / "many.txt").write_text(rows)
    many = evaluate(tagger, str(tmp_path / "many.txt"))
    assert len(many.scores.by_type) >= 200
    assert any("T000, T001" in note for note in many.notes)
    page = evaluation_page(many)
    assert "→ missed" in page
    assert len(page) < 500_000
    assert "T199" in evaluation_text(many, 40)


def test_a_comparison_counts_each_gold_entity_once(comparison):
    paired = comparison.paired
    right = paired.right_by_in_all
    assert right.both + right.only_a + right.only_b + right.neither == paired.a.gold == paired.b.gold == 40
    assert (right.both + right.only_a, right.both + right.only_b) == (paired.a.correct, paired.b.correct)
    for kind, one in paired.right_by.items():
        assert one.both + one.only_a == paired.a.by_type[kind].correct
    assert paired.difference.difference == pytest.approx(paired.a.f1 - paired.b.f1)
    assert paired.words_tagged_differently > 0
    for who, verdicts in paired.verdicts.items():
        assert sum(verdict.count for verdict in verdicts) == getattr(right, who)
        for verdict in verdicts:
            assert (verdict.a.kind == "correct", verdict.b.kind == "correct") == (who == "only_a", who == "only_b")


def test_a_comparison_notes_where_the_labels_differ(comparison):
    assert comparison.notes == ["types that only A knows: MISC", "types that only B knows: DATE"]
    text = " ".join(comparison_text(comparison).split())
    difference = comparison.paired.difference
    low, high = difference.interval
    assert f"A less B: {difference.difference:+.4f} micro F1, 95 % interval {low:+.4f} to {high:+.4f}" in text
    assert "paired bootstrap, 12 documents" in text
    for width in (40, 80):
        assert max(map(len, comparison_text(comparison, width).splitlines())) <= width
    page = comparison_page(comparison)
    assert "<b> &" not in page
    assert not re.search(r"https?:|<script|<link|url\(|@import", page)


def test_a_model_against_itself_differs_nowhere(tagger, folder):
    same = compare(tagger, tagger, str(folder))
    assert same.paired.difference.difference == same.paired.words_tagged_differently == 0
    assert same.paired.right_by_in_all.only_a == same.paired.right_by_in_all.only_b == 0
    assert f"A and B tag all {same.paired.a.words} words alike." in comparison_text(same)
    assert same.notes == []


@pytest.fixture
def typed(capsys):
    def typed(*args):
        assert run([str(arg) for arg in args]) == 0
        return capsys.readouterr()

    return typed


def test_word_and_tag_are_read_from_the_named_columns(typed, saved_model, folder, tmp_path):
    rows = (folder / "test.txt").read_text().splitlines()
    moved = ["\t".join(("x", *row.split(" ")[::-1])) if row and "-DOCSTART-" not in row else row for row in rows]
    path = tmp_path / "test.tsv"
    path.write_text("\n".join(moved) + "\n")
    options = ("--data", path, "--json", "-", "--device", "cpu", "--word-column", "3", "--tag-column", "2")
    assert json.loads(typed("evaluate", saved_model, *options, "--backend", "torch").out)["scores"]["gold"] == 40
    backends = ("--backend-a", "torch", "--backend-b", "torch")
    printed = typed("compare", saved_model, saved_model, *options, *backends).out
    assert json.loads(printed)["paired"]["words_tagged_differently"] == 0


def test_with_json_on_standard_output_the_report_goes_to_standard_error(
    typed, saved_model, other_model, folder, tmp_path
):
    options = ("--data", folder, "--device", "cpu")
    printed = typed("evaluate", saved_model, *options, "--backend", "torch", "--json", "-")
    assert json.loads(printed.out)["scores"]["gold"] == 40
    assert "95 % interval" in printed.err
    backends = ("--backend-a", "torch", "--backend-b", "torch")
    html = ("--html", tmp_path / "report.html")
    printed = typed("compare", saved_model, other_model, *options, *backends, "--json", "-", *html)
    record = json.loads(printed.out)
    assert (record["a"]["model"], record["b"]["model"]) == (str(saved_model), str(other_model))
    assert set(record["paired"]["right_by"]["by_type"]) == {"PER", "ORG", "LOC"}
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_a_report_is_a_file_and_a_table_in_the_width_of_the_terminal(typed, saved_model, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    html = ("--html", tmp_path / "report.html")
    printed = typed("evaluate", saved_model, "--data", folder, "--backend", "torch", "--device", "cpu", *html)
    assert max(map(len, printed.out.splitlines())) <= 40
    assert printed.err == ""
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize(("command", "models"), [("evaluate", 1), ("compare", 2)])
def test_a_file_that_cannot_be_written_is_an_error_before_any_model_is_opened(command, models, option):
    with pytest.raises(InputError, match="there is no folder nowhere"):
        run([command, *["MODEL"] * models, "--data", "sample", option, "nowhere/x"])


def test_a_comparison_takes_two_models(folder):
    with pytest.raises(InputError, match="parameter B requires an argument"):
        run(["compare", "MODEL", "--data", str(folder)])


def test_a_pipe_that_is_closed_early_leaves_the_files_whole(saved_model, folder, tmp_path, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    files = {option: tmp_path / f"report.{option}" for option in ("json", "html")}
    options = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        run(["evaluate", str(saved_model), "--data", str(folder), "--backend", "torch", "--device", "cpu", *options])
    monkeypatch.undo()
    assert json.loads(files["json"].read_text())["scores"]["gold"] == 40
    assert files["html"].read_text().rstrip().endswith("</html>")
