"""Readers of corpora, options, tokenizers and texts to tag."""

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from hardening.fuzz.cases import Case, Reader, read_case
from hybridner.batches.encoding import encode
from hybridner.config.file import options_as_dict, read_config
from hybridner.config.presets import make_options
from hybridner.corpora.checks import check_corpus
from hybridner.corpora.corpus import Sentence, Split, SplitReport
from hybridner.corpora.formats import ColumnFormat
from hybridner.corpora.labels import labels_of, read_labels
from hybridner.corpora.read import check_types, read_corpus, read_file
from hybridner.corpora.sample import sample_sentences
from hybridner.corpora.schemes import SCHEMES
from hybridner.corpora.write import SUFFIX, Form, convert_corpus, write_split
from hybridner.errors import InputError
from hybridner.files.whole import opened_whole
from hybridner.tagging import outputs as plain
from hybridner.tagging.inputs import Skipped, TextRecord, read_texts
from hybridner.tagging.tagger import TaggedText
from hybridner.text.tokenizer import WordTokenizer, load_tokenizer, train_tokenizer
from hybridner.text.words import SplitText, split_text

TYPES = ("PER", "ORG", "LOC", "MISC")
_ODD_WORDS = ("Anna", "don't", "\u200b", "漢字", "é" * 50, "a" * 101, "a" * 3000, "ab" * 40 + "c", "👩‍👩‍👧", "1,000.5")


def tiny_tokenizer() -> WordTokenizer:
    """Train a tokenizer with few pieces."""
    return train_tokenizer([Sentence(("Anna", "Tarkin", "met", "the", "mayor", "of", "Dorst", "."))], 60)


def _only(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if not found:
        raise InputError("no file is left")
    return found[0]


def read_columns_file(folder: Path) -> object:
    """Read a labelled file."""
    return read_file(_only(folder))[1].scheme


def read_columns_by_number(folder: Path) -> object:
    """Read columns chosen by number, with comments."""
    return read_file(_only(folder), columns=ColumnFormat(1, -2, "#"))[1].scheme


def read_dropping(folder: Path) -> object:
    """Read a file of texts and drop spans that do not match words."""
    return read_file(_only(folder), misaligned="drop")[1].scheme


def read_folder(folder: Path) -> object:
    """Read a corpus as training does."""
    corpus = read_corpus(str(folder))
    check_types(corpus)
    tokenizer = tiny_tokenizer()
    return [len(encode(split, tokenizer, corpus.labels, 16)) > 0 for split in corpus.splits.values()]


def check_folder(folder: Path) -> object:
    """Check a corpus as ``hybridner data check`` does."""
    check = check_corpus(str(folder), misaligned="drop", tokenizer=tiny_tokenizer())
    json.dumps(check.to_dict()).encode()
    for line in (*check.problems, *check.notes, *(example for one in check.findings for example in one.examples)):
        if check.problems or len(line) > 2000:
            raise InputError(line)
    return sorted(finding.id for finding in check.findings)


def convert_file(folder: Path, to: Form) -> object:
    """Write a file in another format."""
    source = _only(folder)
    made = folder / "made"
    made.mkdir(exist_ok=True)
    return len(convert_corpus(str(source), made / f"file{SUFFIX[to]}", to, "BIOES"))


def read_labels_file(folder: Path) -> object:
    """Read class names."""
    return len(read_labels(_only(folder))) > 3


def read_options(folder: Path) -> object:
    """Read training options."""
    return sorted(type(value).__name__ for value in read_config(_only(folder)).values.values())


def read_vocabulary(folder: Path) -> object:
    """Open a tokenizer and split words with it."""
    tokenizer = load_tokenizer(str(_only(folder)))
    pieces = tokenizer.encode_sentences([_ODD_WORDS, ("Tarkin", "met", "Dorst")])
    tokenizer.to_json()
    return [min(len(word), 3) for word in pieces[0]]


def tag_inputs(folder: Path, skipping: bool = False) -> object:
    """Read texts and write the output of tagging them without a model: no word is an entity."""
    skipped = Skipped() if skipping else None
    results = ((record, _untagged(record)) for record in read_texts([_only(folder)], None, skipped))
    both = list(results)
    counts = []
    for write in (plain.jsonl, plain.text, plain.conll):
        with opened_whole(folder / "written") as out:
            out.writelines(write(both))
        counts.append(len(both) > 0)
    if skipped is not None and skipped.count:
        raise InputError(skipped.problems[0])
    return counts


def _untagged(record: TextRecord) -> TaggedText:
    split: SplitText = split_text(record.text) if isinstance(record.text, str) else record.text
    words = [word for sentence in split.sentences for word in sentence]
    ends = [sum(map(len, split.sentences[: i + 1])) for i in range(len(split.sentences))]
    return TaggedText(split.text, words, ["O"] * len(words), [], ends)


def _written(folder: Path, form: Form, scheme: str = "BIO") -> bytes:
    sentences = list(islice(sample_sentences("train"), 6))
    report = SplitReport("sample", "BIO", len(sentences), 0, 2, 0, {})
    path = folder / f"written{SUFFIX[form]}"
    write_split(path, Split(sentences), report, form, scheme)  # type: ignore[arg-type]
    return path.read_bytes()


def _corpora(folder: Path) -> Iterator[Case]:
    columns = {scheme: _written(folder, "conll", scheme) for scheme in SCHEMES}
    for number, (kind, suffix) in enumerate(
        [("columns", "conll"), ("columns", "tsv"), ("columns", "iob2"), ("columns", "txt"), ("to_jsonl", "conll")]
    ):
        yield Case(kind, {f"file.{suffix}": columns[SCHEMES[number]]})
    spaced = columns["BIO"].replace(b"\t", b" NNP I-NP ")
    yield Case("columns", {"file.txt": spaced.replace(b"\n", b"\r\n")})
    yield Case("numbered", {"file.conllu": b"# a comment\n" + spaced.replace(b"-DOCSTART- NNP I-NP O\n", b"")})
    files = {"train.txt": spaced, "dev.tsv": columns["IOB1"], "test.jsonl": _written(folder, "jsonl")}
    yield Case("folder", files)
    yield Case("folder", {"eng.train": columns["BIOES"]})
    yield Case("check", files)
    labels = "".join(f"{label}\n" for label in labels_of(TYPES)).encode()
    yield Case("labels", {"labels.txt": labels})


def _saved(folder: Path) -> Iterator[Case]:
    import datasets

    datasets.disable_progress_bars()
    sentences = list(islice(sample_sentences("train"), 4))
    columns = {
        "tokens": [list(one.words) for one in sentences],
        "ner_tags": [list(one.tags or ()) for one in sentences],
    }
    table = datasets.Dataset.from_dict({**columns, "document": [0, 0, 1, 1]})
    names = datasets.ClassLabel(names=list(labels_of(TYPES)))
    numbers = table.cast_column("ner_tags", datasets.Sequence(names))
    for number, one in enumerate((table, numbers)):
        datasets.DatasetDict({"train": one, "validation": one}).save_to_disk(folder / str(number))
        yield read_case("folder", folder / str(number))


def _jsonl(folder: Path) -> Iterator[Case]:
    words, spans = _written(folder, "jsonl"), _written(folder, "spans")
    numbered = b"".join(b'{"id": %d, %s\n' % (i, line[1:]) for i, line in enumerate(words.splitlines()))
    for kind in ("labelled", "dropping", "to_conll", "to_spans"):
        yield Case(kind, {"file.jsonl": numbered})
        yield Case(kind, {"file.jsonl": spans})
    yield Case("check", {"train.jsonl": spans, "test.jsonl": numbered})


def _config(folder: Path) -> Iterator[Case]:
    import tomli_w
    import yaml

    options = {"backend": "torch", **options_as_dict(make_options(average=0.99, tokenizer="vocab.txt"))}
    yield Case("options", {"config.toml": tomli_w.dumps(options).encode()})
    yield Case("options", {"config.yaml": yaml.safe_dump(options).encode()})
    yield Case("options", {"config.yaml": b"# short\nepochs: 3\nlearning_rate: 3e-4\nuse_lstm: yes\ndata: &a sample\n"})


def _vocabularies(folder: Path) -> Iterator[Case]:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdeAT", *(f"##{letter}" for letter in "abcdno"), "met"]
    for end in ("\n", "\r\n"):
        yield Case("tokenizer", {"vocab.txt": "".join(piece + end for piece in pieces).encode()})


def _inputs(folder: Path) -> Iterator[Case]:
    lines = (
        "Anna Tarkin met the mayor of Dorst on Monday, they say; who knows?\nIt isn't U.S. policy.\n\nO'Brien 漢字\n"
    )
    records = [{"id": number, "text": line, "more": [1, {"a": None}]} for number, line in enumerate(lines.splitlines())]
    records.append({"tokens": ["Anna", "ran"], "text": "Anna  ran."})
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    for kind in ("inputs", "skipping"):
        yield Case(kind, {"file.txt": lines.encode()})
        yield Case(kind, {"file.jsonl": content})
        yield Case(kind, {"file.conll": _written(folder, "conll")})


READERS: tuple[Reader, ...] = (
    Reader(
        "corpora",
        {
            "columns": read_columns_file,
            "numbered": read_columns_by_number,
            "to_jsonl": partial(convert_file, to="jsonl"),
            "folder": read_folder,
            "check": check_folder,
            "labels": read_labels_file,
        },
        _corpora,
    ),
    Reader(
        "jsonl",
        {
            "labelled": read_columns_file,
            "dropping": read_dropping,
            "to_conll": partial(convert_file, to="conll"),
            "to_spans": partial(convert_file, to="spans"),
            "check": check_folder,
        },
        _jsonl,
    ),
    Reader("saved", {"folder": read_folder}, _saved),
    Reader("config", {"options": read_options}, _config),
    Reader("tokenizer", {"tokenizer": read_vocabulary}, _vocabularies),
    Reader("inputs", {"inputs": tag_inputs, "skipping": partial(tag_inputs, skipping=True)}, _inputs),
)
