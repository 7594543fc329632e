"""Training from a folder of files to a tagger, with either backend."""

import json

import pytest
from tensorboardX.proto.event_pb2 import Event

import hybridner
from hybridner.errors import InputError
from hybridner.evaluation.evaluate import read_labelled
from hybridner.evaluation.scoring import score
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir

ROWS = (
    "the O\nmayor O\n{} B-PER\n{} I-PER\nsleeps O\n\n"
    "they O\nlive O\nin O\nthe O\nvillage O\n{} B-LOC\n. O\n\n"
    "-DOCSTART- -X-\n\n"
)
SMALL = {
    "hidden_size": 32,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 64,
    "preset": "tiny",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    names = ["Anna", "Berta", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna", "Ida", "Jan", "Karl", "Lena"]
    rows = [ROWS.format(names[i % 12], names[(i * 5 + 1) % 12], names[(i * 7 + 3) % 12]) for i in range(40)]
    (folder / "train.txt").write_text("".join(rows[:30]))
    (folder / "valid.txt").write_text("".join(rows[30:35]))
    (folder / "test.txt").write_text("".join(rows[35:]))
    return str(folder)


def train(backend, corpus, output, **options):
    return hybridner.train(backend, data=corpus, output=output, **{**SMALL, "epochs": 2, **options})


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("backend", [pytest.param("flax", marks=pytest.mark.slow), "torch"])
def test_a_run_leaves_a_model_that_either_twin_opens(backend, corpus, tmp_path):
    result = train(backend, corpus, tmp_path / "run")
    run = RunDir(result.folder)
    for path in (run.config, run.metrics, run.curves, run.tokenizer, run.checkpoints):
        assert path.exists()
    assert {p.name for p in run.best.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors", "README.md"}
    assert [r["epoch"] for r in records(run.folder) if r["event"] == "epoch"] == [1, 2]
    final = records(run.folder)[-1]
    assert final["event"] == "test"
    assert final["test"] == result.test
    assert final["test"]["gold"] == 10
    assert "conlleval" in final["test"]["scorer"]
    words = ["the", "mayor", "Anna", "Karl", "sleeps"]
    logits = [hybridner.load(run.folder, other).word_logits([words])[0][0] for other in ("flax", "torch")]
    assert abs(logits[0] - logits[1]).max() < 1e-4


@pytest.mark.parametrize("head", ["softmax", "crf"])
@pytest.mark.parametrize("backend", ["flax", "torch"])
def test_the_scores_of_a_run_are_those_of_the_tags_that_predict_returns(backend, head, corpus, tmp_path):
    result = train(backend, corpus, tmp_path / "run", head=head, max_steps=3, batch_size=4, learning_rate=0.01)
    tagger = hybridner.load(result.folder, backend)
    for split, found in (("valid", result.valid), ("test", result.test)):
        sentences = read_labelled(corpus, split).sentences
        gold = [sentence.tags for sentence in sentences]
        tags, argmax = ([tagger.tag_words(s.words, raw=raw) for s in sentences] for raw in (False, True))
        expected, of_argmax = score(gold, tags).to_dict(), score(gold, argmax).to_dict()
        assert {name: found[name] for name in expected} == expected
        assert expected != of_argmax
        assert found["decoded"] is True
        assert found.get("argmax") == (of_argmax if head == "softmax" else None)


@pytest.mark.slow
def test_the_twins_train_the_same_run(corpus, tmp_path):
    options = {"dtype": "float64", "dropout": 0.0, "log_every": 1, "schedule": "linear", "warmup_steps": 3}
    losses = {}
    for backend in ("flax", "torch"):
        result = train(backend, corpus, tmp_path / backend, **options)
        losses[backend] = [r["loss"] for r in records(result.folder) if r["event"] == "step"]
    assert losses["flax"] == pytest.approx(losses["torch"], rel=1e-11)
    assert len(losses["flax"]) > 4
    tokenizers = [(tmp_path / backend / "tokenizer.json").read_bytes() for backend in ("flax", "torch")]
    assert tokenizers[0] == tokenizers[1]


@pytest.mark.parametrize("backend", [pytest.param("flax", marks=pytest.mark.slow), "torch"])
def test_a_resumed_run_is_the_run_that_was_not_stopped(backend, corpus, tmp_path):
    whole = train(backend, corpus, tmp_path / "whole", max_steps=6, log_every=1)
    train(backend, corpus, tmp_path / "parts", max_steps=3, log_every=1)  # in the middle of an epoch
    parts = train(backend, corpus, tmp_path / "parts", max_steps=6, resume=True)
    assert parts.step == whole.step == 6
    steps, epochs, states = [], [], []
    for one in (whole, parts):
        steps.append([r for r in records(one.folder) if r["event"] == "step"])
        epochs.append([r["valid"] for r in records(one.folder) if r["event"] == "epoch"][-1])
        states.append(newest_state(backend, one.folder / "checkpoints").state)
    assert steps[0] == steps[1]
    assert epochs[0] == epochs[1]
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert bitwise_difference(getattr(states[0], kind), getattr(states[1], kind)) is None


def test_resuming_a_finished_run_does_nothing(corpus, tmp_path, capsys):
    first = train("torch", corpus, tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    capsys.readouterr()
    again = hybridner.train("torch", output=tmp_path / "run", resume=True)
    assert "has finished" in capsys.readouterr().out
    assert again == first
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_resuming_with_another_learning_rate_is_refused(corpus, tmp_path):
    train("torch", corpus, tmp_path / "run", epochs=1)
    with pytest.raises(InputError, match="--learning-rate was"):
        hybridner.train("torch", output=tmp_path / "run", resume=True, learning_rate=0.5)


def test_a_run_that_may_go_on_for_longer_keeps_its_new_end(corpus, tmp_path):
    train("torch", corpus, tmp_path / "run", max_steps=2)
    hybridner.train("torch", output=tmp_path / "run", resume=True, max_steps=3)
    assert RunDir(tmp_path / "run").read_options()[0].optimization.max_steps == 3


def test_a_run_of_the_other_backend_is_refused_with_the_command_that_converts_it(corpus, tmp_path):
    train("torch", corpus, tmp_path / "run", max_steps=1)
    with pytest.raises(InputError, match="DST --to flax"):
        hybridner.train("flax", output=tmp_path / "run", resume=True)


def test_a_loss_that_is_not_finite_ends_the_run_with_what_to_change(corpus, tmp_path):
    with pytest.raises(InputError, match=r"step 2 \(epoch 1, batch 2: .*: the loss is nan; .* lower --learning-rate"):
        train("torch", corpus, tmp_path / "run", learning_rate=1e38)


def test_resuming_nothing_starts_anew_and_says_so(corpus, tmp_path, capsys):
    train("torch", corpus, tmp_path / "run", epochs=1, resume=True)
    assert "nothing to resume" in capsys.readouterr().out


def test_the_run_stops_at_the_f1_that_was_asked_for(corpus, tmp_path):
    result = train("torch", corpus, tmp_path / "run", target_f1=0.0)
    assert result.step == len([r for r in records(result.folder) if r["event"] == "epoch"]) * result.step
    assert result.epoch == 1


def test_the_same_run_twice_saves_the_same_bytes(corpus, tmp_path):
    for name in ("a", "b"):
        train("torch", corpus, tmp_path / name, epochs=1)
    for file in ("best/model.safetensors", "best/config.json", "tokenizer.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_default_folder_that_is_taken_is_numbered(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [hybridner.train("torch", data=corpus, max_steps=1, **SMALL).folder for _ in range(2)]
    assert [f.name for f in folders] == [folders[0].name, f"{folders[0].name}-2"]
    assert all(f.parent.name == "runs" for f in folders)


def test_the_run_stops_after_epochs_without_a_better_score(corpus, tmp_path):
    result = train("torch", corpus, tmp_path / "run", epochs=9, patience=2, learning_rate=1e-9)
    ended = [record["epoch"] for record in records(result.folder) if record["event"] == "epoch"]
    assert result.epoch == 1
    assert ended == [1, 2, 3]


@pytest.mark.parametrize("way", ["pmap", "mesh"])
def test_pytorch_says_how_it_is_spread_over_devices_instead(way, corpus, tmp_path):
    with pytest.raises(InputError, match=f"--parallel {way} is Flax's; start several PyTorch processes with torchrun"):
        train("torch", corpus, tmp_path / "run", parallel=way)
    assert not (tmp_path / "run").exists()


def test_tensorboard_holds_the_numbers_of_each_epoch(corpus, tmp_path):
    folder = train("torch", corpus, tmp_path / "run").folder
    written = dict(scalars(folder / "tensorboard"))
    for record in records(folder):
        if record["event"] == "epoch":
            step = record["step"]
            assert written["train/loss", step] == pytest.approx(record["train_loss"])
            assert written["train/learning_rate", step] == pytest.approx(record["learning_rate"])
            assert written["train/pieces_per_second", step] == pytest.approx(record["pieces_per_second"])
            for name in ("f1", "precision", "recall"):
                assert written[f"valid/{name}", step] == pytest.approx(record["valid"][name])
    assert len(written) == 6 * 2


def scalars(folder):
    """Return names, steps and values in TensorBoard's files: records of length, checksum, event, and checksum."""
    for path in folder.iterdir():
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            for value in event.summary.value:
                yield (value.tag, event.step), value.simple_value
            content = content[16 + size :]
