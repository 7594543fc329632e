import json

import pytest

from hybridner.cli import run
from hybridner.cli.parse import guarded
from hybridner.corpora.checks import FINDINGS
from hybridner.corpora.read import read_corpus, read_file

ROWS = "Ann B-PER\nran O\n\nin O\nOslo B-LOC\n\n"
DOCUMENTS = "".join(f"-DOCSTART- O\n\nAnn{i} B-PER\n\nOslo{i} B-LOC\n\n" for i in range(20))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.txt").write_text(ROWS)
    (folder / "test.txt").write_text("Bob B-PER\n")
    return folder


@pytest.fixture
def typed(capsys):
    """Run a command; return its exit code and output."""

    def typed(*args):
        code = guarded(lambda: run(["data", *map(str, args)]))
        return code, capsys.readouterr()

    return typed


@pytest.fixture
def fails(typed, tmp_path):
    """Run a command that must fail in one line and leave nothing behind."""

    def there():
        return {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

    def fails(*args):
        before = there()
        code, printed = typed(*args)
        assert code == 2
        assert printed.err.count("\n") == 1, printed.err
        assert there() == before
        return printed.err

    return fails


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_names_the_commands_and_exits_0(args, capsys):
    assert run(["data", *args]) == 0
    printed = capsys.readouterr().out
    assert "Usage: hybridner data COMMAND" in printed
    assert all(f"\n│ {name} " in printed for name in ("check", "convert", "split"))


@pytest.mark.parametrize("command", ["check", "convert", "split"])
def test_the_help_of_each_command_exits_0(command, capsys):
    assert run(["data", command, "--help"]) == 0
    assert f"hybridner data {command}" in capsys.readouterr().out


def test_every_finding_is_in_the_help(capsys):
    run(["data", "check", "--help"])
    printed = capsys.readouterr().out
    assert [name for name in FINDINGS if name not in printed] == []


def test_an_unknown_command_is_answered_with_the_nearest(fails):
    assert 'Did you mean "check"?' in fails("chek")


def test_a_corpus_without_findings_exits_0_and_says_so(typed, folder):
    code, printed = typed("check", folder, "--strict")
    assert (code, printed.err) == (0, "")
    assert "no findings" in printed.out
    assert "\x1b" not in printed.out


def test_findings_exit_1_only_where_that_was_asked_for(typed, folder):
    (folder / "valid.txt").write_text(ROWS)
    code, printed = typed("check", folder)
    assert code == 0
    assert "duplicate-across-splits in valid: 2" in printed.out
    assert typed("check", folder, "--strict")[0] == 1


def test_what_cannot_be_read_is_named_line_by_line_and_exits_2(typed, folder):
    (folder / "test.txt").write_text("a\nb O\nc TAG\n")
    code, printed = typed("check", folder, "--strict")
    assert code == 2
    lines = printed.err.splitlines()
    assert [line.partition("test.txt:")[2][:2] for line in lines] == ["1:", "3:"]
    assert all(line.startswith("error: ") for line in lines)
    assert "train" in printed.out


def test_json_takes_the_standard_output_or_a_file(typed, folder, tmp_path):
    (folder / "test.txt").write_text("a\n")
    code, printed = typed("check", folder, "--json", "-")
    values = json.loads(printed.out)
    assert code == 2
    assert len(values["problems"]) == 1
    assert values["splits"]["train"]["report"]["entities"] == {"LOC": 1, "PER": 1}
    typed("check", folder, "--json", tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text()) == values


def test_check_takes_the_sample_a_file_and_columns(typed, folder, tmp_path):
    assert "3,600" in typed("check", "sample")[1].out
    (tmp_path / "x.conllu").write_text("# a\n1\tAnn\tB-PER\t_\n")
    code, printed = typed("check", tmp_path / "x.conllu", "--word-column", "2", "--tag-column", "-2", "--comment", "#")
    assert (code, printed.err) == (0, "")
    assert "PER" in printed.out


def test_check_counts_pieces(typed, folder, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    assert "pieces, median" in typed("check", folder, "--tokenizer", tmp_path / "tokenizer.json")[1].out


def test_a_file_is_converted_there_and_back(typed, folder, tmp_path):
    jsonl, spans, back = tmp_path / "a.jsonl", tmp_path / "s.jsonl", tmp_path / "b.txt"
    assert typed("convert", folder / "train.txt", jsonl)[0] == 0
    assert typed("convert", jsonl, spans, "--to", "spans")[0] == 0
    code, printed = typed("convert", spans, back, "--scheme", "BILOU")
    assert code == 0
    assert printed.out == f"written: {back}\n"
    assert back.read_text() == "Ann\tU-PER\nran\tO\n\nin\tO\nOslo\tU-LOC\n\n"


def test_the_splits_of_a_corpus_are_converted_into_a_folder(typed, folder, tmp_path):
    typed("convert", folder, tmp_path / "out", "--to", "jsonl")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.jsonl", "train.jsonl"]
    typed("convert", "sample", tmp_path / "sample")
    written, made = read_corpus(str(tmp_path / "sample")), read_corpus("sample")
    for name, split in made.splits.items():
        assert [(s.words, s.tags, s.document) for s in split] == [
            (s.words, s.tags, s.document) for s in written.splits[name]
        ]


@pytest.mark.parametrize("command", ["convert", "split"])
def test_nothing_is_overwritten(fails, folder, tmp_path, command):
    assert "exists already" in fails(command, folder / "train.txt", folder)
    assert "exists already" in fails(command, folder / "train.txt", folder / "test.txt")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("convert", "train.txt", "out.jsonl", "--to", "conll"), "expected a name that does not end in .jsonl"),
        (("convert", "train.txt", "out.txt", "--to", "spans"), "expected a name that ends in .jsonl"),
        (("convert", "train.txt", "out.jsonl", "--to", "spans", "--scheme", "BIO"), "--scheme has no meaning"),
        (("convert", "broken.txt", "out.txt"), "broken.txt:2: a row of 1 column"),
        (("convert", "broken.txt", "out.txt", "--word-column", "0"), "word column 0"),
        (("split", "broken.txt", "out"), "broken.txt:2: a row of 1 column"),
        (("split", "train.txt", "out"), "use --by sentence"),
        (("split", "train.txt", "out", "--by", "sentence"), "too few"),
        (("split", "train.txt", "out", "--dev", "0.6", "--test", "0.6"), "below 1 in sum"),
        (("split", "train.txt", "out", "--seed", "-1"), "seed must not be negative"),
        (("split", "./nowhere.txt", "out"), "nowhere.txt: cannot be read"),
        (("split", ".", "out"), "a folder; expected a file"),
        (("check", "./nowhere"), "no such folder"),
        (("check", "train.txt", "--json", "no/folder/x.json"), "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(fails, folder, monkeypatch, args, said):
    (folder / "broken.txt").write_text("a O\nb\n")
    monkeypatch.chdir(folder)
    assert said in fails(*args)


def test_a_split_is_a_corpus_with_its_sizes_said(typed, tmp_path):
    (tmp_path / "all.conll").write_text(DOCUMENTS)
    code, printed = typed("split", tmp_path / "all.conll", tmp_path / "out", "--dev", "0.2")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in printed.out.splitlines()[1:4]}
    assert rows["train.conll"] == ["14", "28", "28", "28"]
    assert rows["valid.conll"] == ["4", "8", "8", "8"]
    corpus = read_corpus(str(tmp_path / "out"))
    assert [corpus.reports[name].documents for name in ("train", "valid", "test")] == [14, 4, 2]
    typed("split", tmp_path / "all.conll", tmp_path / "again", "--valid", "0.2")
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_spans_off_the_words_are_left_out_where_that_was_asked_for(typed, fails, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Ann sleeps", "spans": [[0, 2, "PER"]]}))
    assert "--misaligned drop" in fails("convert", tmp_path / "a.jsonl", tmp_path / "b.txt")
    code, printed = typed("convert", tmp_path / "a.jsonl", tmp_path / "b.txt", "--misaligned", "drop")
    assert code == 0
    assert "1 span left out" in printed.out
    assert [s.tags for s in read_file(tmp_path / "b.txt")[0]] == [("O", "O")]
