import json
import os
from pathlib import Path

import pytest

from hybridner.config.presets import make_options
from hybridner.corpora.read import check_types, read_corpus, read_file
from hybridner.corpora.splits import shown_split
from hybridner.errors import InputError
from hybridner.training.train import read_data

SHARED = os.environ.get("HYBRIDNER_SHARED_DATA")
needs_shared_data = pytest.mark.skipif(
    SHARED is None, reason="HYBRIDNER_SHARED_DATA does not name the folder of corpora"
)
PER, LOC = "Ann B-PER\nran O\n\n", "in O\nOslo B-LOC\n\n"


@pytest.fixture
def folder(tmp_path):
    """Write files, given by name and content, into a folder and return its path."""

    def write(files):
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return str(tmp_path)

    return write


def refusal(data, **options):
    with pytest.raises(InputError) as caught:
        read_corpus(data, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sentences(corpus, name):
    return [(s.words, s.tags) for s in corpus.splits[name]]


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.conll", "dev.tsv", "test.iob2"),
        ("TRAIN.TXT", "Validation.txt", "Test.Txt"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("wnut.train.conll", "wnut.development.conll", "wnut.testb.conll"),
    ],
)
def test_files_are_found_by_the_name_of_their_split(folder, train, valid, test):
    data = folder({train: PER.replace(" ", "\t"), valid: LOC.replace(" ", "\t"), test: PER.replace(" ", "\t")})
    corpus = read_corpus(data)
    assert sentences(corpus, "train") == sentences(corpus, "test") == [(("Ann", "ran"), ("B-PER", "O"))]
    assert sentences(corpus, "valid") == [(("in", "Oslo"), ("O", "B-LOC"))]
    assert corpus.reports["valid"].path == str(Path(data) / valid)
    assert corpus.notes == []


def test_formats_may_differ_within_a_folder(folder):
    line = json.dumps({"words": ["in", "Oslo"], "tags": ["O", "B-LOC"]})
    corpus = read_corpus(folder({"train.txt": LOC, "valid.jsonl": line}))
    assert sentences(corpus, "train") == sentences(corpus, "valid")


def test_other_files_and_sub_folders_are_left_alone(folder, tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "test.txt").mkdir()
    (tmp_path / "dev" / "valid.txt").write_text(PER)
    corpus = read_corpus(folder({"train.txt": PER * 10, "train.md": "?", "train.txt.bak": "?", "README.txt": "?"}))
    assert "test" not in corpus.splits
    assert "held out" in corpus.notes[0]


@pytest.mark.parametrize("other", ["dev.txt", "validation.conll", "eng.testa", "valid.jsonl"])
def test_two_files_for_one_split_are_refused_by_name(folder, other):
    text = refusal(folder({"train.txt": PER, "valid.txt": PER, other: PER}))
    assert "valid.txt" in text
    assert other in text
    assert "are both the dev split" in text


def test_labels_come_from_the_train_split_alone(folder):
    corpus = read_corpus(folder({"train.txt": PER, "valid.txt": LOC}))
    assert corpus.labels == ("O", "B-PER", "I-PER")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_type_unseen_in_train_is_named_with_split_and_place(folder, split):
    data = folder({"train.txt": PER, "valid.txt": PER, "test.txt": PER} | {f"{split}.txt": PER + LOC})
    with pytest.raises(InputError) as caught:
        check_types(read_corpus(data))
    assert str(caught.value) == (
        f"{data}/{split}.txt:4: type 'LOC' in the {shown_split(split)} split does not appear in the train split, "
        "which has PER"
    )


def test_types_that_train_has_pass(folder):
    check_types(read_corpus(folder({"train.txt": PER + LOC, "valid.txt": LOC, "test.txt": PER})))


def test_a_converted_scheme_is_said_and_reported(folder):
    corpus = read_corpus(folder({"train.txt": "Ann I-PER\nBob B-PER\n", "valid.txt": "Ann B-PER\nLee I-PER\n"}))
    assert sentences(corpus, "train") == [(("Ann", "Bob"), ("B-PER", "B-PER"))]
    assert [corpus.reports[name].scheme for name in ("train", "valid")] == ["IOB1", "BIO"]
    assert [note.rpartition("/")[2] for note in corpus.notes] == ["train.txt: scheme IOB1, converted to BIO"]


@pytest.mark.parametrize(("stray", "said"), [(1, "1 repair:"), (3, "3 repairs:")])
def test_repairs_are_counted_and_said(folder, stray, said):
    corpus = read_corpus(folder({"train.txt": PER + "ran O\nLee I-PER\n\n" * stray, "valid.txt": PER}))
    report = corpus.reports["train"]
    assert (report.scheme, report.repairs, report.entities) == ("BIO", stray, {"PER": 1 + stray})
    assert f"train.txt: {said}" in corpus.notes[0]


def test_a_report_counts_what_is_in_its_file(folder, tmp_path):
    folder({"a.txt": f"-DOCSTART- O\n\n{PER}{LOC}-DOCSTART- O\n\n{LOC}"})
    split, report = read_file(tmp_path / "a.txt")
    assert len(split) == report.sentences == 3
    assert (report.words, report.documents, report.entities) == (6, 2, {"LOC": 2, "PER": 1})


def test_training_options_say_how_the_corpus_is_read(folder, tmp_path):
    row, text = "# c\n1\tAnn\tB-PER\t_\n", json.dumps({"text": "Bob ran", "spans": [[0, 2, "PER"], [4, 7, "PER"]]})
    data = folder({"train.txt": row, "valid.jsonl": text})
    how = {"word_column": 2, "tag_column": 3, "comment": "#"}
    with pytest.raises(InputError, match="does not fall on word boundaries"):
        read_data(make_options(data=data, **how))
    corpus = read_data(make_options(data=data, **how, misaligned="drop"))
    assert sentences(corpus, "train") == [(("Ann",), ("B-PER",))]
    assert sentences(corpus, "valid") == [(("Bob", "ran"), ("O", "B-PER"))]
    assert corpus.reports["valid"].dropped_spans == 1
    assert "valid.jsonl: 1 span left out; the first: " in corpus.notes[0]


def test_bio_inside_a_bioes_file_is_repairs_that_are_said_with_their_place(folder):
    corpus = read_corpus(folder({"train.txt": "a S-X\n\nb B-X\nc I-X\nd O\n", "valid.txt": PER}))
    assert corpus.reports["train"].repairs == 1
    assert corpus.reports["train"].first_repairs == (3,)
    assert "leaves one open that its scheme closes; first in the sentence at line 3" in corpus.notes[1]


def test_a_folder_given_as_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder; expected a file"):
        read_file(tmp_path)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "-DOCSTART- O\n\n"])
def test_a_file_without_a_sentence_is_refused(folder, split, content):
    data = folder({"train.txt": PER, "valid.txt": PER, "test.txt": PER} | {f"{split}.txt": content})
    assert refusal(data) == f"{data}/{split}.txt: no sentence in it; expected at least one"


def test_a_folder_without_train_is_refused_unless_it_is_only_scored(folder):
    data = folder({"test.txt": PER})
    assert refusal(data).startswith(f"{data}: no train split; expected a file such as train.txt, found test")
    corpus = read_corpus(data, require_train=False)
    assert list(corpus.splits) == ["test"]
    assert corpus.labels == ("O",)


def test_only_the_splits_asked_for_are_read(folder):
    corpus = read_corpus(folder({"train.txt": "broken", "test.txt": PER}), require_train=False, splits=("test",))
    assert list(corpus.splits) == list(corpus.reports) == ["test"]


def test_an_empty_folder_is_refused(folder):
    assert "no train, valid or test file in it; expected train.txt" in refusal(folder({"notes.txt": "?"}))


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "no/where/here", "nowhere/", "~/nowhere"])
def test_a_missing_folder_is_refused_without_asking_the_hub(path):
    assert "no such folder; expected one with train, valid and test files" in refusal(path)


def test_a_file_given_as_corpus_is_refused(folder):
    path = folder({"train.txt": PER}) + "/train.txt"
    assert refusal(path) == f"{path}: a file; expected a folder with train, valid and test files"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.txt: cannot be read \(No such file"):
        read_file(tmp_path / "a.txt")


def held_out(folder, content):
    corpus = read_corpus(folder({"train.txt": content}))
    return corpus, [set(corpus.splits[name]) for name in ("train", "valid")]


def test_without_a_valid_file_a_tenth_of_the_documents_is_held_out(folder):
    documents = "".join(f"-DOCSTART- O\n\nw{i} B-PER\n\nx{i} O\n\n" for i in range(30))
    corpus, (train, valid) = held_out(folder, documents)
    assert {s.document for s in train} | {s.document for s in valid} == set(range(30))
    assert not {s.document for s in train} & {s.document for s in valid}
    assert [corpus.reports[name].documents for name in ("train", "valid")] == [27, 3]
    assert [corpus.reports[name].sentences for name in ("train", "valid")] == [54, 6]
    assert corpus.notes == ["no dev split: 3 of 30 documents of the train split are held out for it"]
    assert held_out(folder, documents)[1] == [train, valid]


@pytest.mark.parametrize("documents", [1, 9])
def test_with_few_documents_a_tenth_of_the_sentences_is_held_out(folder, documents):
    content = "-DOCSTART- O\n\nw O\n\n" * documents + "w B-PER\n\n" * (40 - documents)
    corpus, (train, valid) = held_out(folder, content)
    assert (len(train), len(valid)) == (36, 4)
    assert corpus.notes == ["no dev split: 4 of 40 sentences of the train split are held out for it"]


def test_what_was_found_in_a_file_is_reported_of_both_its_parts(folder):
    corpus, _ = held_out(folder, "Ann I-PER\nBob B-PER\n\n" + "ran O\nLee I-PER\n\n" * 19)
    assert [corpus.reports[name].scheme for name in ("train", "valid")] == ["IOB1", "IOB1"]
    folder({"train.txt": PER + "ran O\nLee I-PER\n\n" * 19})
    corpus = read_corpus(corpus.reports["train"].path.removesuffix("train.txt"))
    assert [corpus.reports[name].scheme for name in ("train", "valid")] == ["BIO", "BIO"]
    assert sum(corpus.reports[name].repairs for name in ("train", "valid")) == 19
    assert sum(corpus.reports[name].entities["PER"] for name in ("train", "valid")) == 20


def test_one_sentence_is_too_few_to_hold_any_out(folder):
    assert "too few to hold out a dev split, give a valid file" in refusal(folder({"train.txt": PER}))


def test_the_sample_needs_no_file():
    corpus = read_corpus("sample")
    assert corpus.name == "sample"
    assert list(corpus.splits) == ["train", "valid", "test"]
    assert corpus.labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
    assert corpus.notes == []
    check_types(corpus)


@pytest.mark.parametrize("name", ["sample", "conll2003", "someone/corpus"])
def test_a_local_folder_wins_over_a_corpus_of_its_name_and_that_is_said(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir(parents=True)
    for split in ("train", "valid"):
        Path(name, f"{split}.txt").write_text(PER)
    corpus = read_corpus(name)
    assert sentences(corpus, "train") == [(("Ann", "ran"), ("B-PER", "O"))]
    assert corpus.notes == [f"{name}: the local folder is read, not a corpus of that name"]
    assert read_corpus(f"./{name}").notes == []


def test_a_corpus_in_the_folder_one_stands_in_has_a_name(folder, tmp_path, monkeypatch):
    folder({"train.txt": PER, "valid.txt": PER})
    monkeypatch.chdir(tmp_path)
    assert read_corpus(".").name == tmp_path.name


@pytest.mark.parametrize("name", ["conll2003", "someone/corpus"])
def test_a_name_that_is_no_folder_is_asked_of_the_hub(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("hybridner.corpora.hub.hub_sources", lambda data: asked.append(data) or {})
    refusal(name)
    assert asked == [name]


@pytest.mark.parametrize("named_classes", [True, False])
def test_a_folder_saved_by_datasets_is_read(tmp_path, named_classes):
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-PER", "I-PER"]
    tag = datasets.ClassLabel(names=names) if named_classes else datasets.Value("string")
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tag)})
    rows = {"tokens": [["Ann", "ran"]], "ner_tags": [["B-PER", "O"]]}
    if named_classes:
        rows["ner_tags"] = [[names.index(tag) for tag in tags] for tags in rows["ner_tags"]]
    table = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": table, "validation": table}).save_to_disk(str(tmp_path / "saved"))
    corpus = read_corpus(str(tmp_path / "saved"))
    assert sentences(corpus, "train") == sentences(corpus, "valid") == [(("Ann", "ran"), ("B-PER", "O"))]
    assert corpus.labels == tuple(names)


CONLL = {
    "train": (14_041, 203_621, 946, {"LOC": 7140, "MISC": 3438, "ORG": 6321, "PER": 6600}),
    "valid": (3_250, 51_362, 216, {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}),
    "test": (3_453, 46_435, 231, {"LOC": 1668, "MISC": 702, "ORG": 1661, "PER": 1617}),
}


@needs_shared_data
def test_conll_2003_in_its_two_schemes_is_one_corpus_with_the_published_counts():
    bio, iob1 = (read_corpus(f"{SHARED}/{name}") for name in ("conll2003", "conll2003/iob1"))
    for corpus, scheme in ((bio, "BIO"), (iob1, "IOB1")):
        for name, counts in CONLL.items():
            report = corpus.reports[name]
            assert (report.sentences, report.words, report.documents, report.entities) == counts
            assert (report.scheme, report.repairs) == (scheme, 0)
        assert corpus.labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
    for name in CONLL:
        assert all(
            (a.words, a.tags, a.document) == (b.words, b.tags, b.document)
            for a, b in zip(bio.splits[name], iob1.splits[name], strict=True)
        )


@needs_shared_data
def test_wikigold_has_the_published_counts():
    _, report = read_file(Path(SHARED) / "wikigold" / "all.txt")
    assert (report.sentences, report.words, report.documents, report.repairs) == (1_696, 39_007, 145, 0)
    assert report.entities == {"LOC": 1014, "MISC": 712, "ORG": 898, "PER": 934}
