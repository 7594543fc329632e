"""A saved model's card: true to the model, and read correctly by the Hub."""

import dataclasses
import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard

import hybridner
from hybridner.cli import run
from hybridner.config.options import FIELDS, names_with
from hybridner.config.presets import make_options
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.scoring import score
from hybridner.model.weights import initial_weights
from hybridner.saved.card import card, told_options
from hybridner.saved.folder import save_model
from hybridner.saved.open import open_model

GOLD = [["B-PER", "O", "B-LOC"], ["O", "B-ORG", "I-ORG"]]
PREDICTED = [["B-PER", "O", "O"], ["O", "B-ORG", "I-ORG"]]
ROWS = "Anna B-PER\nsleeps O\n\nin O\nDorst B-LOC\n\n"


@pytest.fixture
def trained(model):
    """Return the model as a run saves it."""
    scores = {
        **score(GOLD, PREDICTED).to_dict(),
        "f1_interval": [0.25, 0.9375],
        "bootstrap": {"unit": "documents", "resamples": 2000},
        "decoded": True,
        "argmax": {**score(GOLD, PREDICTED).to_dict(), "f1": 0.75},
    }
    about = {
        "data": "news",
        "sentences": {"train": 12000, "valid": 30},
        "preset": "tiny",
        "options": {"epochs": 3},
        "backend": "torch",
        "seed": 4,
        "dtype": "float32",
        "device": "cpu",
        "hybridner": "0.1.0",
        "torch": "2.9",
        "epoch": 2,
        "step": 1500,
        "valid": {**scores, "f1": 0.5},
        "test": scores,
    }
    return dataclasses.replace(model, provenance=about)


def with_provenance(model, **changes):
    return dataclasses.replace(model, provenance={**model.provenance, **changes})


def front_matter(text):
    opened, front, _ = text.split("---\n", 2)
    assert opened == ""
    return yaml.safe_load(front)


def test_the_front_matter_says_to_the_hub_what_the_model_is_and_how_good(trained):
    front = front_matter(card(trained))
    assert (front["library_name"], front["pipeline_tag"]) == ("hybridner", "token-classification")
    assert "license" not in front
    results = ModelCard(card(trained)).data.eval_results  # as the Hub's library reads it
    f1 = {one.dataset_split: one.metric_value for one in results if one.metric_type == "f1"}
    assert f1 == {"validation": 0.5, "test": trained.provenance["test"]["f1"]}
    assert {one.dataset_name for one in results} == {"news"}
    assert [one.metric_type for one in results] == ["f1", "precision", "recall"] * 2


@pytest.mark.parametrize(
    ("stated", "named"), [("CC-BY-4.0", "cc-by-4.0"), ("CC BY-SA 4.0", "cc-by-sa-4.0"), ("by contract: §3", "other")]
)
def test_a_licence_is_given_only_where_it_is_stated_and_in_the_hubs_words(trained, stated, named):
    text = card(with_provenance(trained, data_license=stated))
    assert front_matter(text)["license"] == named
    assert f"- licence of the data: {stated}\n" in text
    assert "- licence of the data: not stated\n" in card(trained)


@pytest.mark.parametrize("name", ["a: b", "- [x] #1", "'\"", "data|set", "Žluťoučký 🐎", "no"])
def test_any_name_of_a_corpus_leaves_the_front_matter_whole(trained, name):
    front = front_matter(card(with_provenance(trained, data=name)))
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == name


def test_the_page_says_what_it_is_how_good_how_made_and_where_it_ends(trained):
    text = card(trained)
    size = sum(value.size for value in trained.weights.values())
    assert (
        f"A Transformer encoder with an LSTM, {size:,} parameters, that tags named entities: PER, ORG, LOC, MISC."
        in text
    )
    assert "| dev | 0.5000 | 0.2500 to 0.9375 | " in text
    assert "valid" not in text.split("---\n", 2)[2]
    assert "| test | 0.8000 | 0.2500 to 0.9375 | 1.0000 | 0.6667 | 2 | 2 | 3 |\n" in text
    assert "| LOC | 0.0000 | 0.0000 | 0.0000 | 0 | 0 | 1 |\n" in text
    assert "- data: news (sentences: 12,000 for train, 30 for dev)\n" in text
    assert "- options: `epochs = 3`\n- seed: 4\n- checkpoint: epoch 2, step 1,500\n" in text
    assert "- made with: hybridner 0.1.0, torch 2.9\n- device: cpu\n- dtype: float32\n" in text
    assert ", ".join(f"`{label}`" for label in trained.labels) in text
    assert "longer than 24 word pieces" in text
    for heading in ("How to use it", "Scores", "How it was made", "Labels", "Limits"):
        assert f"\n## {heading}\n" in text


def test_the_argmax_scores_of_a_model_of_the_originals_stand_beside_its_own_once(trained):
    text = card(trained)
    assert "Argmax, as the original scores: dev F1 0.7500, test F1 0.7500.\n" in text
    assert (text.lower().count("argmax"), text.count("of the tags that `predict` returns.")) == (1, 1)
    about = trained.provenance
    others = {name: {k: v for k, v in about[name].items() if k != "argmax"} for name in ("valid", "test")}
    assert "argmax" not in card(with_provenance(trained, **others)).lower()


def test_the_card_of_an_earlier_version_says_that_its_scores_are_of_argmax(trained):
    then = {k: v for k, v in trained.provenance["test"].items() if k not in ("decoded", "argmax")}
    text = card(with_provenance(trained, valid=then, test=then))
    assert ", of each word's most probable tag.\n" in text
    assert "predict` returns" not in text


def test_the_lstm_is_named_only_where_there_is_one(model):
    config = dataclasses.replace(model.config, lstm=None)
    text = card(dataclasses.replace(model, config=config, weights=initial_weights(config, 1)))
    assert "A Transformer encoder, " in text
    assert "lstm" not in front_matter(text)["tags"]


def test_what_is_not_known_is_not_made_up(model):
    imported = dataclasses.replace(model, tokenizer=None, provenance={"imported_from": "a.pth", "hybridner": "0.1.0"})
    text = card(imported)
    assert "model-index" not in front_matter(text)
    assert "## Scores\n\nNone are known.\n" in text
    assert "- imported from: a checkpoint of the original HybridNER, `a.pth`\n- data: not stated\n" in text
    assert "- licence of the data: not stated\n- made with: hybridner 0.1.0\n" in text
    assert "has no tokenizer" in text
    assert "hybridner.load(FOLDER).tag" not in text
    bare = card(dataclasses.replace(model, provenance={}))
    assert "- data: not stated\n" in bare
    assert "None are known." in card(with_provenance(model, test={"f1": "high"}))


def test_the_python_of_the_card_runs(saved_model, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (saved_model / "README.md").read_text(), re.DOTALL)
    exec(code.replace("FOLDER", str(saved_model)).replace('")  #', '", backend="torch")  #'), {})
    found = hybridner.load(saved_model, "torch").tag("Angela Merkel visited Tallinn.")
    assert found
    assert capsys.readouterr().out.count("\n") == len(found)


def test_only_what_differs_from_the_preset_is_told_and_no_path(tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.touch()
    options = make_options(
        data="sample", epochs=3, seed=5, device="cpu", output=tmp_path, tokenizer=str(vocab), data_license="x"
    )
    assert told_options(options) == {"epochs": 3, "tokenizer": "vocab.txt"}
    told = {name for name, one in FIELDS.items() if one.metadata.get("in_card", True)}
    assert told <= names_with("fixed") | names_with("may grow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a short run on a corpus with a test split."""
    data = tmp_path_factory.mktemp("card") / "names"
    data.mkdir()
    for split in ("train", "valid", "test"):
        (data / f"{split}.txt").write_text(ROWS * 12 + ("Anna B-LOC\nsleeps O\n\n" * 8 if split == "test" else ""))
    arguments = [
        "--preset",
        "original",
        "--data",
        data,
        "--output",
        data.parent / "run",
        "--max-steps",
        12,
        "--learning-rate",
        0.02,
        "--hidden-size",
        16,
    ]
    arguments += [
        "--preset",
        "tiny",
        "--num-encoder-layers",
        1,
        "--vocab-size",
        60,
        "--batch-size",
        8,
        "--data-license",
        "CC0-1.0",
    ]
    assert run(["train", "--backend", "torch", *map(str, arguments)]) == 0
    return data.parent / "run"


def test_the_card_of_a_run_has_its_test_score_with_the_interval_that_the_bootstrap_gives(folder):
    model = open_model(folder)
    tagger = hybridner.load(folder, "torch", device="cpu")
    sentences = [["Anna", "sleeps"], ["in", "Dorst"]] * 12 + [["Anna", "sleeps"]] * 8
    gold = [["B-PER", "O"], ["O", "B-LOC"]] * 12 + [["B-LOC", "O"]] * 8
    predicted = [tagger.tag_words(words) for words in sentences]
    test = model.provenance["test"]
    assert test["decoded"] is True
    assert test["f1"] == score(gold, predicted).f1
    assert test["argmax"] == score(gold, [tagger.tag_words(words, raw=True) for words in sentences]).to_dict()
    units = resampling_units(len(gold), [0] * len(gold))
    assert test["f1_interval"] == list(interval_of_counts(entity_counts(gold, predicted, units)))
    low, high = test["f1_interval"]
    assert low < test["f1"] < high
    text = (folder / "best" / "README.md").read_text()
    assert f"| test | {test['f1']:.4f} | {low:.4f} to {high:.4f} | " in text
    assert front_matter(text)["license"] == "cc0-1.0"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["test"] == test


def test_the_test_score_in_the_card_leaves_the_weights_bytes_as_they_are(folder, tmp_path):
    model = open_model(folder)
    about = {name: value for name, value in model.provenance.items() if name != "test"}
    save_model(tmp_path / "before", dataclasses.replace(model, provenance=about))
    for name, same in (("model.safetensors", True), ("tokenizer.json", True), ("README.md", False)):
        before, after = tmp_path / "before" / name, folder / "best" / name
        assert (before.read_bytes() == after.read_bytes()) is same


def test_a_conversion_keeps_the_card(folder, tmp_path):
    assert run(["convert", str(folder / "best"), str(tmp_path / "model"), "--to", "torch"]) == 0
    assert (tmp_path / "model" / "README.md").read_bytes() == (folder / "best" / "README.md").read_bytes()
