"""Two processes that start a run in the same folder at the same time."""

import pytest

import hybridner
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.training.loop import TrainingLoop
from hybridner.training.train import prepare
from tests.small_runs import NAMES, SMALL


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = "".join(f"the O\nmayor O\n{name} B-PER\n\n" for name in NAMES)
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text(rows)
    return folder


@pytest.mark.parametrize("how", ["begin", "overwrite", "resume"])
def test_of_two_runs_that_start_at_once_in_a_folder_the_second_is_refused(data, tmp_path, how):
    folder = tmp_path / "run"
    options = {"data": str(data), "output": folder, "max_steps": 2, "parallel": "jit", **SMALL}
    if how != "begin":
        hybridner.train("torch", **options)
        options = {**options, how: True, "max_steps": 3}
    first, second = (prepare("torch", make_options(**options), set(options)) for _ in range(2))
    TrainingLoop(first).run()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="another process has begun or resumed a run here meanwhile; choose another"):
        TrainingLoop(second).run()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
