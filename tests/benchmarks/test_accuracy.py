"""The accuracy benchmark, with systems that need no training."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.accuracy import __main__ as command
from benchmarks.accuracy import runs
from benchmarks.accuracy.data import first_sentences, read_parts
from benchmarks.accuracy.peers import sentence_features
from benchmarks.accuracy.report import draw, make_report, markdown_table, table
from benchmarks.accuracy.runs import Job, Plan, Results, finish, in_a_process, make_system, measure
from benchmarks.accuracy.systems import Trained
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.split import split_file
from hybridner.errors import InputError

DOCUMENTS = 40
NAMES = [f"Town{number}" for number in range(DOCUMENTS)]


class Memory:
    """A system that gives each word its most frequent tag in train."""

    name, about, is_seeded, versions = "memory", "a table of words", True, {"memory": "1"}

    def train(self, train, dev, seed):
        known = {}
        for sentence in train:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                known.setdefault(word, Counter())[tag] += 1
        tags = {word: counts.most_common(1)[0][0] for word, counts in known.items()}
        return Trained(lambda split: [[tags.get(word, "O") for word in s.words] for s in split], len(tags))


class Blind:
    """A system that finds nothing."""

    name, about, is_seeded, versions = "blind", "no entity at all", False, {}

    def train(self, train, dev, seed):
        return Trained(lambda split: [["O"] * len(s.words) for s in split], 0)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "towns" / "all.conll"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(DOCUMENTS):
        lines.append("-DOCSTART-\tO\n")
        for name in rng.choice(NAMES, 3):
            lines.append(f"in\tO\n{name}\tB-LOC\nit\tO\n")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def plan(file):
    parts = {seed: read_parts(str(file), seed) for seed in (0, 1)}
    return Plan({"memory": Memory(), "blind": Blind()}, "torch", str(file), parts, [10, None], [1, 2])


def runner(plan, done):
    def run(job):
        done.append(job)
        return measure(plan.systems[job.system], plan.parts[job.split_seed], job.size, job.seed)

    return run


def test_an_interrupted_run_resumes_without_repeating(plan, tmp_path, capsys):
    path, done = tmp_path / "all.jsonl", []
    run = runner(plan, done)

    def killed(job):
        if len(done) == 3:
            raise KeyboardInterrupt
        return run(job)

    with pytest.raises(KeyboardInterrupt):
        finish(plan, Results(path), killed)
    with path.open("a") as text:
        text.write('{"system": "mem')  # a write that was cut
    records = finish(plan, Results(path), run)
    jobs = [job for job, _ in plan.jobs()]
    assert done == jobs
    assert finish(plan, Results(path), run) == records
    assert done == jobs
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(jobs)
    assert printed[0].startswith("memory, 10 sentences, split 0, seed 1: dev F1 0.")
    # Records of another version, or other data, do not count.
    plan.systems["memory"].versions = {"memory": "2"}
    finish(plan, Results(path), run)
    assert done[len(jobs) :] == [job for job in jobs if job.system == "memory"]
    other = replace(plan, parts={0: replace(plan.parts[0], digest="0")}, sizes=[None], seeds=[1])
    assert [Results(path).find(key) for _, key in other.jobs()] == [None, None]


def test_a_system_without_a_seed_trains_once_on_all_sentences(plan):
    blind = [(job.size, job.split_seed, job.seed) for job, _ in plan.jobs() if job.system == "blind"]
    assert blind == [(10, 0, 1), (10, 0, 2), (10, 1, 1), (10, 1, 2), (None, 0, 1), (None, 1, 1)]


def test_the_table_has_means_and_intervals_and_pairs_with_the_first_system(plan, tmp_path):
    records = finish(plan, Results(tmp_path / "all.jsonl"), runner(plan, []))
    rows = table(plan, records)
    assert [(row["size"], row["system"], row["runs"]) for row in rows] == [
        (10, "memory", 4),
        (10, "blind", 2 * 2),
        (None, "memory", 4),
        (None, "blind", 2),
    ]
    memory, blind = rows[:2]
    f1 = [one["test"]["f1"] for one in records if one["system"] == "memory" and one["size"] == 10]
    assert memory["test_f1"] == pytest.approx(np.mean(f1), abs=1e-12)
    assert memory["test_f1_range"] == [min(f1), max(f1)]
    low, high = memory["test_f1_interval"]
    assert low < memory["test_f1"] < high
    assert memory["recall_unseen"] == 0 == blind["test_f1"] == blind["recall_unseen"]
    assert memory["less_first"] is None
    assert blind["less_first"] == -memory["test_f1"]
    assert blind["less_first_interval"] == pytest.approx([-high, -low], abs=1e-12)
    text = markdown_table(rows)
    assert text[0] == (
        "| sentences | system | dev F1 | test F1 | 95 % interval | lowest to highest run | test F1 less that of memory "
        "| recall, unseen | seconds | parameters |"
    )
    assert text[2].startswith(f"| 10 | memory | {memory['dev_f1']:.4f} | {memory['test_f1']:.4f} | {low:.4f} to")
    assert len(text) == 2 + len(rows)


def test_the_interval_of_one_run_is_that_of_evaluate(plan, tmp_path):
    one = replace(plan, systems={"memory": Memory()}, parts={0: plan.parts[0]}, sizes=[None], seeds=[7])
    records = finish(one, Results(tmp_path / "all.jsonl"), runner(one, []))
    (row,) = table(one, records)
    assert row["test_f1_interval"] == records[0]["test"]["f1_interval"]
    header = markdown_table([row])[0]
    assert header == "| system | dev F1 | test F1 | 95 % interval | recall, unseen | seconds | parameters |"


def test_unseen_entities_are_those_not_in_the_sentences_trained_on(plan):
    parts = plan.parts[0]
    record = measure(Memory(), parts, 10, 1)
    seen = {sentence.words[1] for sentence in first_sentences(parts.train, 10, 1)}
    unseen = [sentence.words[1] for sentence in parts.test if sentence.words[1] not in seen]
    assert record["test"]["seen"]["gold_unseen"] == {"correct": 0, "gold": len(unseen), "recall": 0.0}
    found = record["test"]["seen"]["gold_seen"]
    assert found["correct"] == found["gold"] == len(parts.test) - len(unseen) > 0


def test_subsets_are_nested_and_cut_at_most_one_document():
    sentences = [Sentence((f"{d}.{i}",), ("O",), d) for d in range(12) for i in range(4)]
    small, large = (first_sentences(sentences, size, 3) for size in (10, 30))
    assert large[:10] == small
    assert sorted(Counter(s.document for s in small).values()) == [2, 4, 4]
    assert all(a.document != b.document or int(a.words[0][-1]) + 1 == int(b.words[0][-1]) for a, b in pairwise(large))
    assert first_sentences(sentences, 10, 4) != small
    assert first_sentences(sentences, None, 3) == sentences


def test_without_documents_sentences_are_shuffled():
    sentences = [Sentence((str(i),), ("O",)) for i in range(30)]
    small = first_sentences(sentences, 10, 3)
    assert len(set(small)) == 10
    assert small != sorted(small, key=lambda s: int(s.words[0]))


def test_a_file_is_split_as_data_split_does(file, tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    split_file(file, folder, seed=3)
    whole, split = read_parts(str(file), 3), read_parts(str(folder))
    assert whole.digest == split.digest
    assert whole.test == split.test
    assert whole.digest != read_parts(str(file), 4).digest
    assert (whole.name, split.name) == ("towns/all.conll", "split")
    with pytest.raises(InputError, match="--split-seeds is for a single file, leave it out"):
        read_parts(str(folder), 3)
    (folder / "test.conll").unlink()
    with pytest.raises(InputError, match="split: no test split; expected a file such as"):
        read_parts(str(folder))


def test_the_command_writes_everything_and_no_path(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "make_system", lambda name, _: {"memory": Memory(), "blind": Blind()}[name])
    monkeypatch.setattr(command, "choose_backend", lambda _: "torch")

    def in_this_process(job, log):
        return measure({"memory": Memory(), "blind": Blind()}[job.system], read_parts(job.data, job.split_seed), 9, 1)

    monkeypatch.setattr(command, "in_a_process", in_this_process)
    output = tmp_path / "results" / "v1.2"
    chosen = {"systems": ("memory,blind",), "seeds": (1,), "sizes": ("9", "all"), "split_seeds": (0,)}
    command.main(command.Options(data=str(file), output=output, **chosen))
    assert sorted(path.name for path in output.parent.iterdir()) == ["v1.2.json", "v1.2.jsonl", "v1.2.md", "v1.2.png"]
    report = json.loads((output.parent / "v1.2.json").read_text())
    assert len(report["table"]) == len(report["runs"]) == 4
    assert "counts" not in report["runs"][0]["test"]
    page = (output.parent / "v1.2.md").read_text()
    assert page in capsys.readouterr().out
    assert (
        "`python -m benchmarks.accuracy --data towns/all.conll --systems memory,blind --seeds 1 --sizes 9 all "
        "--split-seeds 0 --backend torch`"
    ) in page
    assert "![test F1 by number of train sentences](v1.2.png)" in page
    assert "| memory | a table of words | memory 1 |" in page
    assert str(tmp_path) not in page + json.dumps(report)
    assert (output.parent / "v1.2.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="--sizes: 1,000 is more than the train split's"):
        command.main(command.Options(data=str(file), output=output, **{**chosen, "sizes": ("1000",)}))
    with pytest.raises(InputError, match="--sizes: 'most'; expected numbers of sentences, or all"):
        command.main(command.Options(data=str(file), output=output, **{**chosen, "sizes": ("most",)}))


def test_the_report_of_a_run_can_be_drawn_with_one_size(plan, tmp_path):
    one = replace(plan, sizes=[None])
    report = make_report(one, finish(one, Results(tmp_path / "all.jsonl"), runner(one, [])))
    draw(report["table"], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_systems_are_made_by_name():
    base = make_system("base+head=softmax+hidden_size=96", "torch")
    assert base.name == "base+head=softmax+hidden_size=96 (PyTorch)"
    with pytest.raises(InputError, match=r"no system 'bas'; there are tiny, base, original, crf, spacy"):
        make_system("bas", "torch")
    with pytest.raises(InputError, match="hidden_size must be a whole number, not 'wide'"):
        make_system("base+hidden_size=wide", "torch")


def test_a_system_with_an_option_that_this_version_lacks_is_skipped(capsys):
    systems = command.make_systems(["tiny", "base+magic=/data/spells.txt"], "torch")
    assert list(systems) == ["tiny"]
    said = capsys.readouterr().out
    assert said == "base+magic=/data/spells.txt: skipped; this version has no option 'magic'\n"
    with pytest.raises(InputError, match="none to train"):
        command.make_systems(["base+magic=1"], "torch")


def test_two_systems_of_one_name_are_refused():
    with pytest.raises(InputError, match="would have the same name in the table"):
        command.make_systems(["tiny+tokenizer=a/vocab.txt", "tiny+tokenizer=b/vocab.txt"], "torch")


@pytest.mark.parametrize(("name", "package"), [("crf", "sklearn_crfsuite"), ("spacy", "spacy")])
def test_a_missing_package_names_its_extra(name, package, monkeypatch):
    monkeypatch.setattr("hybridner.errors.find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"the system {name} needs {package}: pip install 'hybridner\[accuracy\]'"):
        make_system(name, "torch")


def test_the_features_of_the_crf_are_those_of_a_window_of_two():
    first, second, third, _ = sentence_features(["Ada", "of", "UK", "7"])
    assert first[:3] == ["bias", "-2:outside", "-1:outside"]
    assert first[3:15] == [
        *("0:word=Ada", "0:lower=ada", "0:shape=Xxx"),
        *("0:prefix1=A", "0:suffix1=a", "0:prefix2=Ad", "0:suffix2=da", "0:prefix3=Ada", "0:suffix3=Ada"),
        *("0:prefix4=Ada", "0:suffix4=Ada", "0:title"),
    ]
    assert "2:upper" in first
    assert "2:digit" in second
    assert {"-2:word=Ada", "-1:lower=of", "0:word=UK", "1:word=7", "2:outside"} <= set(third)


def test_what_a_process_refuses_is_raised_here(tmp_path):
    log = tmp_path / "runs.log"
    with pytest.raises(InputError, match="no system 'none'"):
        in_a_process(Job("none", "torch", "sample", None, None, 1), log)
    assert log.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny+epochs=1", "base+epochs=1"])
def test_a_preset_trains_as_its_command_does(name):
    record = measure(make_system(name, "torch"), read_parts("sample"), 100, 1)
    assert record["chosen"]["epoch"] == 1
    assert record["parameters"] > 100_000
    assert record["test"]["gold"] > 0
    assert runs.line({**record, "system": name, "split_seed": None, "seed": 1}).startswith(f"{name}, 100 sentences, ")
