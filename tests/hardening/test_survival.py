"""Real faults in real runs: a few of those that ``python -m hardening.faults`` injects many times."""

import json

import pytest

import hybridner.runs.checkpoints
from hardening.faults import __main__ as faults
from hardening.faults import mutate as mutations
from hardening.faults.bench import Bench, one_line
from hardening.faults.kill import kill
from hardening.faults.kill_in_save import kill_in_save
from hardening.faults.mutate import mutate
from hardening.faults.sigterm import sigterm
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.runs.run_dir import RunDir, choose_folder

pytestmark = pytest.mark.slow

SEED = 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Make one bench for each backend, which all tests share with its undisturbed run."""
    made = {}

    def bench(backend):
        if backend not in made:
            made[backend] = Bench(backend, tmp_path_factory.mktemp(backend), epochs=3, in_process=True)
            made[backend].seconds = 4.0  # within which a process trains, or has ended, on any machine
        return made[backend]

    return bench


@pytest.mark.parametrize(("backend", "times"), [("torch", 2), ("flax", 1)])
def test_a_run_that_is_killed_at_any_moment_goes_on_as_if_it_had_not_been(bench, backend, times):
    row = kill(bench(backend), times, SEED)
    assert row.finds == []
    assert row.held == row.done == times


@pytest.mark.parametrize(("backend", "times"), [("torch", 3), ("flax", 1)])
def test_a_kill_inside_a_save_leaves_what_was_saved_before(bench, backend, times):
    row = kill_in_save(bench(backend), times, SEED)
    assert row.finds == []
    assert row.held == row.done == times
    assert sum(row.told["killed_in"].values()) == times


def test_sigterm_saves_the_step_in_flight(bench):
    row = sigterm(bench("torch"), 1, SEED)
    assert row.finds == []
    assert row.held == row.done == 1
    assert row.told["steps_begun_after_the_signal"] in ([0], [1])


@pytest.mark.parametrize(("backend", "times"), [("torch", 40), ("flax", 20)])
def test_a_checkpoint_that_was_changed_is_refused_or_the_one_before_is_used(bench, backend, times):
    row = mutate(bench(backend), times, SEED)
    assert row.finds == []
    assert row.held == row.done == times
    assert len(row.told["outcomes"]) > 2


def test_a_store_that_did_not_check_what_it_reads_would_be_found_out(bench, monkeypatch):
    monkeypatch.setattr(hybridner.runs.checkpoints, "_compare_checksums", lambda folder: None)
    monkeypatch.setattr(mutations, "MUTATIONS", (mutations._flip,))
    row = mutate(bench("torch"), 40, SEED)
    assert row.held < row.done
    assert any(" differ: " in find for find in row.finds)


def test_a_disk_that_is_full_for_tensorboard_alone_ends_a_run_in_one_line(bench, tmp_path):
    torch = bench("torch")
    harm = {"do": "limit", "in": "tensorboard", "number": 2, "bytes": 0}
    ended = torch.wait(torch.start(tmp_path / "run", harm))
    assert one_line(ended, 2) == []
    assert "(File too large); the last checkpoint is that of step" in ended.err
    assert torch.to_end(tmp_path / "run") == []


def test_what_a_run_leaves_that_was_killed_while_it_began_is_not_in_the_way(tmp_path):
    for name in (".lock", "config.toml.partial"):
        (tmp_path / name).touch()
    run = choose_folder(make_options(output=tmp_path), "torch")
    assert run.folder == RunDir(tmp_path).folder


def test_the_table_is_printed_and_written(tmp_path, capsys):
    report = tmp_path / "faults.json"
    options = faults.Options(only=("mutate",), backend="torch", times=2, epochs=1, output=report)
    assert faults.main(options) == 0
    assert capsys.readouterr().out.startswith("mutate        torch    2 of 2 ")
    (row,) = json.loads(report.read_text())["rows"]
    assert (row["name"], row["backend"], row["done"], row["held"], row["finds"]) == ("mutate", "torch", 2, 2, [])
    with pytest.raises(InputError, match="--only cost needs --data"):
        faults.main(faults.Options(only=("cost",)))
