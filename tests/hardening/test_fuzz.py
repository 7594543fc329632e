import json
from pathlib import Path

import pytest

from hardening.fuzz.campaign import fuzz
from hardening.fuzz.cases import CRASH, HANG, MEMORY, MESSAGE, NOISE, TRACEBACK, Limits, read_case
from hardening.fuzz.process import LONGEST_MESSAGE, NO_LINE
from hardening.fuzz.readers import READERS
from hybridner.errors import InputError
from tests.hardening import broken_readers

FINDS = sorted(path for path in (Path(__file__).parents[1] / "fuzz_finds").glob("*/*") if path.is_dir())
CHEAP = ("corpora", "jsonl", "config", "tokenizer", "inputs")
NARROW = Limits(seconds=1.0, memory_mib=100)
BROKEN = {
    broken_readers.raises: TRACEBACK,
    broken_readers.hangs: HANG,
    broken_readers.eats_memory: MEMORY,
    broken_readers.asks_for_memory: MEMORY,
    broken_readers.dies: CRASH,
    broken_readers.prints_a_traceback: NOISE,
    broken_readers.writes_lines: MESSAGE,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("find", FINDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_that_was_once_found_gives_a_value_or_one_clear_line(find, tmp_path, capfd):
    kind = find.name.rpartition("-")[0]
    (reader,) = (reader for reader in READERS if reader.name == find.parent.name)
    read_case(kind, find).write(tmp_path / "case")
    message = ""
    try:
        reader.kinds[kind](tmp_path / "case")
    except InputError as error:
        message = str(error)
    assert not NO_LINE.search(message)
    assert len(message) <= LONGEST_MESSAGE
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_a_short_run_over_a_reader_finds_nothing(name, tmp_path):
    (reader,) = (reader for reader in READERS if reader.name == name)
    campaign = fuzz(reader, 1, lambda campaign: campaign.cases < 150, tmp_path)
    assert not campaign.finds
    assert campaign.results["accepted"] > 5
    assert campaign.results["refused"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=lambda function: function.__name__)
def test_a_reader_that_is_broken_is_found_out_and_its_file_kept(broken, tmp_path):
    campaign = fuzz(broken_readers.reader(broken), 1, lambda campaign: not campaign.finds, tmp_path, NARROW)
    ((result, _),) = campaign.finds
    assert result == BROKEN[broken]
    (report,) = (tmp_path / broken.__name__).glob("*.report.json")
    assert json.loads(report.read_text())["result"] == result
    kept = report.with_name(report.name.removesuffix(".report.json"))
    assert (kept / "file.txt").read_bytes() != broken_readers.WHOLE


def test_a_refusal_is_no_find_and_the_same_seed_gives_the_same_cases(tmp_path):
    def run(seed):
        campaign = fuzz(broken_readers.reader(broken_readers.refuses), seed, lambda run: run.cases < 60, tmp_path)
        assert not campaign.finds
        return campaign.results

    assert run(3) == run(3)
    assert run(3)["refused"] > 40
