"""The public names of ``hybridner``, and what they accept."""

import subprocess
import sys
import typing
from pathlib import Path

import pytest

import hybridner
import hybridner.training.train
from hybridner.config.options import TYPES
from hybridner.config.typed import TrainOptions
from hybridner.corpora.sample import sample_sentences
from hybridner.errors import InputError

NAMES = {"load", "train", "evaluate", "Tagger", "Entity", "InputError", "__version__"}
TEXTS = ["Anna Tarkin met the mayor of Dorst.", "", "The river Velmora is long."]


@pytest.fixture(scope="module")
def tagger(saved_model):
    return hybridner.load(saved_model, "torch", device="cpu")


@pytest.fixture
def taken(monkeypatch):
    """Return the options that training received."""
    taken = []
    monkeypatch.setattr(hybridner.training.train, "run_training", lambda backend, options, _: taken.append(options))
    return taken


def test_dir_and_all_list_the_public_names_and_nothing_else():
    code = "import hybridner, hybridner.tagging.tagger; print(*dir(hybridner))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(printed.split()) == set(hybridner.__all__) == NAMES
    assert all(getattr(hybridner, name) is not None for name in NAMES)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tag'"):
        hybridner.tag  # noqa: B018


def test_evaluate_returns_the_report_as_an_object(tagger, tmp_path):
    rows = "\n\n".join(
        "\n".join(f"{word} {tag}" for word, tag in zip(s.words, s.tags, strict=True))
        for s in list(sample_sentences("valid"))[:5]
    )
    (tmp_path / "test.txt").write_text(rows)
    report = hybridner.evaluate(tagger, tmp_path, split="test")
    assert report.scores.sentences == 5
    assert report.to_dict()["split"] == "test"


def test_the_keywords_of_train_are_the_options_and_a_path_may_be_text():
    expected = {**TYPES}
    for name in ("data", "tokenizer", "output"):
        expected[name] = expected[name] | str | Path
    keywords = typing.get_type_hints(TrainOptions)
    assert list(keywords) == list(expected)
    wrong = [name for name in expected if set(members(keywords[name])) != set(members(expected[name]))]
    assert wrong == []


def members(hint):
    return typing.get_args(hint) or (hint,)


@pytest.mark.slow
def test_a_type_checker_accepts_options_of_train_and_rejects_others(tmp_path):
    good = 'import hybridner\nhybridner.train(data="sample", epochs=3)\n'
    good += "one: list[hybridner.Entity] = hybridner.load('x').tag('a')\n"
    good += "many: list[list[hybridner.Entity]] = hybridner.load('x').tag(['a'])\n"
    (tmp_path / "snippet.py").write_text(good + 'hybridner.train(lr=3)\nhybridner.train(epochs="ten")\n')
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--follow-imports=silent", "snippet.py"]
    env = {"MYPYPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [int(line.split(":")[1]) for line in errors] == [5, 6], done.stdout + done.stderr


def test_paths_may_be_path_objects_and_begin_with_the_home_folder(taken, monkeypatch):
    monkeypatch.setenv("HOME", "/home/mira")
    hybridner.train("torch", data=Path("my/corpus"), output="~/runs/x")
    hybridner.train("torch", data="~/corpus", output=Path("~/y"))
    assert [(o.data.data, o.run.output) for o in taken] == [
        ("my/corpus", Path("/home/mira/runs/x")),
        ("/home/mira/corpus", Path("/home/mira/y")),
    ]


def test_a_list_of_texts_gives_a_list_of_entities_per_text(tagger):
    found, single = tagger.tag(TEXTS), [tagger.tag(text) for text in TEXTS]
    assert [[(e.label, e.start, e.end) for e in one] for one in found] == [
        [(e.label, e.start, e.end) for e in one] for one in single
    ]
    assert found[1] == []
    assert any(found)
    assert tagger.tag([]) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda tagger: tagger.tag(None), "expected a text or a list of texts, not None"),
        (lambda tagger: tagger.tag([None]), "expected a text, not None"),
        (lambda tagger: tagger.tag_texts("Mira"), "expected several texts, such as a list of them, not 'Mira'"),
        (lambda tagger: tagger.tag_words("Mira left"), "expected the words of a sentence, such as a list of them, not"),
        (lambda tagger: tagger.tag_words([1]), "expected the words of a sentence, such as a list of them, not [1]"),
    ],
)
def test_what_is_not_text_is_refused_in_one_line(tagger, wrong, message):
    with pytest.raises(InputError) as caught:
        wrong(tagger)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("backend", ["flax", "torch"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "cuda:7"}, "no device 'cuda:7' here"),
        ({"device": "gpu"}, "device must be auto or cpu or cuda or "),
        ({"dtype": "bf16"}, "dtype must be float32 or bfloat16 or float64, not 'bf16'"),
    ],
)
def test_a_device_or_type_that_does_not_exist_is_refused_in_one_line(saved_model, backend, values, message):
    with pytest.raises(InputError) as caught:
        hybridner.load(saved_model, backend, **values)
    assert str(caught.value).startswith(message)
