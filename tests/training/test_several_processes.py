"""Whole runs in several processes."""

import json

import pytest

import hybridner
from hybridner.corpora.sample import sample_sentences
from hybridner.errors import InputError
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from hybridner.training.train import _agree_on_folder
from tests.two_processes import finish, start_both

OPTIONS = {
    "preset": "original",
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 64,
    "dtype": "float64",
    "dropout": 0.0,
    "batch_size": 7,
    "epochs": 2,
    "log_every": 1,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, count in (("train", 40), ("valid", 10)):
        sentences = list(sample_sentences(split))[:count]
        rows = ["".join(f"{w}\t{t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in sentences]
        (folder / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


def losses(run):
    records = [json.loads(line) for line in RunDir(run).metrics.read_text().splitlines()]
    return [r["loss"] for r in records if r["event"] == "step"], [r["valid"] for r in records if r["event"] == "epoch"]


@pytest.fixture(scope="module")
def one_process(corpus, tmp_path_factory):
    run = hybridner.train("torch", data=str(corpus), output=tmp_path_factory.mktemp("one") / "run", **OPTIONS)
    return losses(run.folder)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_two_processes_share_a_run_in_the_default_folder_and_train_what_one_trains(
    backend, corpus, one_process, tmp_path
):
    name = f"{corpus.name}-original-{backend}"
    (tmp_path / "runs" / name).mkdir(parents=True)  # taken
    args = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    said = finish(start_both(backend, ["--data", str(corpus), *args], tmp_path))
    assert "2 × cpu" in said[0][0]
    assert "epoch" in said[0][0]
    assert "epoch" not in said[1][0]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [name, f"{name}-2"]
    run = tmp_path / "runs" / f"{name}-2"
    step_losses, scores = losses(run)
    assert len(step_losses) == 12
    assert step_losses == pytest.approx(one_process[0], rel=1e-9)
    assert scores == one_process[1]
    assert newest_state(backend, run / "checkpoints").state.step == 12


@pytest.mark.parametrize("other", [0, 2**31 - 1])
def test_processes_that_chose_different_folders_are_told_to_name_one(tmp_path, other):
    class Learner:
        """Learner of one of two processes; the other has chosen a folder with another number."""

        def agree(self, number):
            return max(number, other if number >= 0 else -other)

    with pytest.raises(InputError, match="give all the same --output"):
        _agree_on_folder(Learner(), RunDir(tmp_path))
