"""When a process is killed or never joins, the others end, and the run resumes."""

import time

import pytest

from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from tests.small_runs import NAMES, SMALL
from tests.two_processes import finish, free_address, start, start_both

ROWS = "the O\nmayor O\n{} B-PER\nsleeps O\n\nthey O\nleft O\n{} B-LOC\n\n"
EPOCHS, STEPS = 12, 60
ARGS = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))]
SOON = 120  # seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def args(tmp_path_factory):
    """Return the arguments of a run of some seconds on a small corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = [ROWS.format(NAMES[i % 8], NAMES[(i * 3 + 1) % 8]) for i in range(36)]
    (folder / "train.txt").write_text("".join(rows[:30]))
    (folder / "valid.txt").write_text("".join(rows[30:]))
    return ["--data", str(folder), *ARGS, "--epochs", str(EPOCHS)]


@pytest.fixture(scope="module")
def undisturbed(args, tmp_path_factory):
    """Return the undisturbed run of each backend."""
    runs = {}

    def undisturbed(backend):
        if backend not in runs:
            runs[backend] = tmp_path_factory.mktemp(backend) / "run"
            finish(start_both(backend, [*args, "--output", str(runs[backend])], runs[backend].parent))
        return runs[backend]

    return undisturbed


@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.parametrize("backend", ["flax", "torch"])
def test_when_a_process_is_killed_the_other_ends_and_the_run_resumes_bit_for_bit(
    backend, killed, args, undisturbed, tmp_path
):
    run = tmp_path / "run"
    processes = start_both(backend, [*args, "--output", str(run)], tmp_path)
    deadline = time.monotonic() + SOON
    while not any(folder.name.isdigit() for folder in run.glob("checkpoints/*")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    processes[killed].kill()
    _, errors = processes[1 - killed].communicate(timeout=SOON)
    processes[killed].communicate()
    assert processes[1 - killed].returncode != 0, errors
    assert newest_state(backend, run / "checkpoints").state.step < STEPS

    finish(start_both(backend, ["--output", str(run), "--resume"], tmp_path))
    resumed, whole = (newest_state(backend, folder / "checkpoints").state for folder in (run, undisturbed(backend)))
    assert resumed.step == whole.step == STEPS
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert bitwise_difference(getattr(resumed, kind), getattr(whole, kind)) is None
    models = [folder / "best/model.safetensors" for folder in (run, undisturbed(backend))]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("backend", ["flax", "torch"])
def test_a_process_that_waits_in_vain_for_the_other_says_so_in_one_line(backend, rank, tmp_path):
    address = free_address()
    process = start(backend, rank, address, ["--join-timeout", "2"], tmp_path)
    _, printed = process.communicate(timeout=SOON)
    assert process.returncode == 2, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {address}: not all ")
    assert "processes joined within 2 s (--join-timeout)" in line
    assert list(tmp_path.iterdir()) == []
