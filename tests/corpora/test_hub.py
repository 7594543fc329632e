import subprocess
import sys
import time
from pathlib import Path

import pytest

import hybridner
from hybridner.corpora.read import read_corpus
from hybridner.errors import InputError

# Nothing listens on port 9 of this machine, so the connection is refused, as without a network.
UNREACHABLE = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(Path(hybridner.__file__).parents[1]),
}
ASK = """
from hybridner.corpora.read import read_corpus
from hybridner.errors import InputError
try:
    read_corpus({name!r})
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["conll2003", "someone/corpus"])
def test_a_hub_that_does_not_answer_is_said_in_one_line_and_soon(tmp_path, name):
    env = {**UNREACHABLE, "HF_HOME": str(tmp_path)}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(name=name)], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 20
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{name}: neither a folder here nor a corpus the Hub gave")
    assert "give a folder with train, valid and test files: the Hub is out of reach" in done.stdout
    assert "Retry" not in done.stderr


@pytest.mark.parametrize(
    ("name", "repository", "ref", "folder"),
    [
        ("conll2003", "eriktks/conll2003", "refs/convert/parquet", "conll2003/{split}"),
        ("me/names", "me/names", "main", "data/{split}"),
    ],
)
def test_a_corpus_in_the_hubs_cache_is_read_when_the_hub_does_not_answer(tmp_path, name, repository, ref, folder):
    datasets = pytest.importorskip("datasets")
    cache = tmp_path / "hub" / f"datasets--{repository.replace('/', '--')}"
    (cache / "refs" / ref).parent.mkdir(parents=True)
    (cache / "refs" / ref).write_text("0" * 40)
    for split in ("train", "validation"):
        table = cache / "snapshots" / ("0" * 40) / folder.format(split=split) / "0000.parquet"
        table.parent.mkdir(parents=True)
        datasets.Dataset.from_dict({"tokens": [["Anna"]], "ner_tags": [["B-PER"]]}).to_parquet(str(table))
    code = f"from hybridner.corpora.read import read_corpus; print(read_corpus({name!r}).labels)"
    env = {**UNREACHABLE, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "('O', 'B-PER', 'I-PER')\n", done.stderr


NAMES = ["O", "B-PER", "I-PER"]


@pytest.fixture
def saved(tmp_path):
    """Save tables of these columns as a folder of datasets."""
    datasets = pytest.importorskip("datasets")

    def saved(tag_feature=None, splits=("train", "validation"), **columns):
        features = None
        if tag_feature is not None:
            text = datasets.Value("string")
            features = datasets.Features({"tokens": datasets.List(text), "ner_tags": tag_feature(datasets)})
        table = datasets.Dataset.from_dict(columns, features=features)
        datasets.DatasetDict(dict.fromkeys(splits, table)).save_to_disk(str(tmp_path / "saved"))
        return str(tmp_path / "saved")

    return saved


CLASSES = [
    lambda datasets: datasets.List(datasets.ClassLabel(names=NAMES)),
    lambda datasets: datasets.Sequence(datasets.ClassLabel(names=NAMES)),
    lambda datasets: datasets.LargeList(datasets.ClassLabel(names=NAMES)),
    lambda datasets: datasets.Sequence(datasets.ClassLabel(names=NAMES), length=2),
]


@pytest.mark.parametrize("feature", CLASSES)
def test_numbers_of_classes_become_their_names_however_the_column_nests_them(saved, feature):
    corpus = read_corpus(saved(feature, tokens=[["Ann", "Lee"]], ner_tags=[[1, 2]]))
    assert corpus.splits["train"][0].tags == ("B-PER", "I-PER")
    assert corpus.labels == tuple(NAMES)


def test_strings_are_tags_and_documents_are_kept(saved):
    rows = {"words": [["Ann"], ["Lee"], ["ran"]], "tags": [["B-PER"], ["B-PER"], ["O"]], "document": ["a", "a", "b"]}
    split = read_corpus(saved(**rows)).splits["train"]
    assert [(s.tags, s.document) for s in split] == [(("B-PER",), 0), (("B-PER",), 0), (("O",), 1)]


@pytest.mark.parametrize(
    ("feature", "columns", "said"),
    [
        (
            None,
            {"tokens": [["a"]], "ner_tags": [[1]]},
            "column 'ner_tags' holds Value('int64'); expected strings or ClassLabel(names=[...])",
        ),
        (CLASSES[0], {"tokens": [["a"]], "ner_tags": [[-1]]}, "[-1]; expected a list of numbers from 0 to 2"),
        (CLASSES[0], {"tokens": [["a"]], "ner_tags": [None]}, "None; expected a list of numbers from 0 to 2"),
        (None, {"tokens": [["a"]], "ner_tags": [["PER"]]}, "tag 'PER'; expected O, or B-TYPE"),
        (None, {"tokens": [["a", "b"]], "ner_tags": [["O"]]}, "2 words and 1 tags; expected as many of each"),
        (None, {"tokens": ["a"], "ner_tags": [["O"]]}, "'tokens' is not a list of strings"),
        (None, {"tokens": [["a"]], "pos": [["O"]]}, "no 'ner_tags' or 'tags' or 'labels'; there are 'tokens', 'pos'"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_row(saved, feature, columns, said):
    folder = saved(feature, **columns)
    with pytest.raises(InputError) as caught:
        read_corpus(folder)
    assert said in str(caught.value)
    assert str(caught.value).startswith(
        f"{folder}/train: " if "names" in said or "there are" in said else f"{folder}/train:1: "
    )


def test_two_tables_for_one_split_are_refused_by_name(saved):
    folder = saved(splits=("train", "validation", "dev"), tokens=[["a"]], tags=[["O"]])
    with pytest.raises(InputError, match="validation and dev are both the dev split; keep one"):
        read_corpus(folder)


def test_a_single_table_says_to_save_its_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"tokens": [["a"]], "tags": [["O"]]}).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(InputError, match="a single table saved by datasets; put its splits into a DatasetDict"):
        read_corpus(str(tmp_path / "one"))
