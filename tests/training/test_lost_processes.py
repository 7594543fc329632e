"""What the processes of a run do when one of them is gone."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from hybridner.training import lifeline
from hybridner.training.lifeline import Lifeline
from hybridner.training.relay import relay
from hybridner.training.rendezvous import meet

REPOSITORY = Path(__file__).parents[2]
ROWS = "the O\nmayor O\n{} B-PER\nsleeps O\n\nthey O\nleft O\n{} B-LOC\n\n"
NAMES = ("Anna", "Berta", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna")
OPTIONS = {
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 200,
    "max_length": 16,
    "batch_size": 12,
    "dropout": 0.0,
    "epochs": 2,
}
ARGS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
BEAT = 0.02


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lifeline, "_BEAT_SECONDS", BEAT)
    monkeypatch.setattr(lifeline, "_GRACE_SECONDS", 5 * BEAT)


@pytest.fixture
def lines(quick):
    """Lifelines of processes (but those ``without``), all connections, and the reasons that the last resorts got."""
    opened = []

    def lines(num_processes, without=()):
        address = free_address()
        met = [{} for _ in range(num_processes)]

        def one(rank):
            met[rank] = meet(address, rank, num_processes, 20.0)

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(num_processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened.extend(connection for connections in met for connection in connections.values())
        gave_up = [[] for _ in range(num_processes)]
        made = [
            None if rank in without else Lifeline(rank, num_processes, met[rank], gave_up[rank].append)
            for rank in range(num_processes)
        ]
        return made, met, gave_up

    yield lines
    for connection in opened:
        cut(connection)


def cut(connection):
    """What the end of a process does to its connection."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def begin(*lines):
    for line in lines:
        line.begin()


def soon(holds):
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(BEAT / 4)


def settle():
    """Wait for as long as it takes to give up."""
    time.sleep(20 * BEAT)


@pytest.mark.parametrize("rank", [1, 2])
def test_all_are_told_which_process_was_lost(rank, lines):
    made, met, gave_up = lines(3)
    begin(*made)
    cut(met[rank][0])
    for other in {0, 1, 2} - {rank}:
        assert made[other].reason(10).startswith(f"process {rank} of 3 was lost (killed, or its host went down)")
        soon(lambda other=other: gave_up[other])
        assert gave_up[other] == [made[other].reason()]


def test_all_see_for_themselves_that_process_0_was_lost(lines):
    made, met, gave_up = lines(3, without=[0])
    begin(*made[1:])
    for connection in met[0].values():
        cut(connection)
    for other in (1, 2):
        assert made[other].reason(10).startswith("process 0 of 3 was lost")
        soon(lambda other=other: gave_up[other])


def test_a_process_that_is_silent_is_lost(quick, monkeypatch):
    here, there = socket.socketpair()
    gave_up = []
    line = Lifeline(0, 2, {1: here}, gave_up.append)
    line.begin()
    assert line.reason(10) == (
        "process 1 of 2 was lost (nothing was heard of it for 0.2 s); "
        "start all 2 again with --resume, to go on from the last checkpoint"
    )
    soon(lambda: gave_up)
    cut(here)
    there.close()


def test_processes_that_are_well_hear_each_other(lines):
    made, _, gave_up = lines(3)
    begin(*made)
    settle()
    assert [line.reason() for line in made] == ["", "", ""]
    assert gave_up == [[], [], []]


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_processes_that_end_well_one_after_the_other_alarm_nobody(order, lines):
    made, met, gave_up = lines(3)
    begin(*made)
    for rank in order:
        made[rank].end(well=True)
        for connection in met[rank].values():
            cut(connection)
        settle()
        assert [line.reason() for line in made] == ["", "", ""]
    assert gave_up == [[], [], []]


def test_process_0_may_be_the_first_that_ends_well(lines):
    made, met, gave_up = lines(3, without=[0])
    begin(*made[1:])
    for connection in met[0].values():
        connection.sendall(b"end 0 1 well\n")
        cut(connection)
    settle()
    assert [line.reason() for line in made[1:]] == ["", ""]
    assert gave_up[1:] == [[], []]


@pytest.mark.parametrize("rank", [0, 2])
def test_the_others_end_after_one_that_ended_with_an_error(rank, lines):
    made, _, gave_up = lines(3)
    begin(*made)
    made[rank].end(well=False)
    for other in {0, 1, 2} - {rank}:
        assert made[other].reason(10).startswith(f"process {rank} of 3 has ended with an error, which it has printed;")
        soon(lambda other=other: gave_up[other])
    assert gave_up[rank] == []


def test_the_first_cause_is_told_and_not_the_errors_that_follow_from_it(lines):
    made, met, _ = lines(3)
    begin(*made)
    cut(met[1][0])
    assert made[0].reason(10)
    made[0].end(well=False)
    soon(lambda: made[2].reason().startswith("process 1 of 3 was lost"))
    settle()
    assert made[2].reason().startswith("process 1 of 3 was lost")


def test_who_ends_by_itself_in_time_is_left_alone(lines):
    made, met, gave_up = lines(2)
    begin(*made)
    cut(met[1][0])
    assert made[0].reason(10)
    made[0].end(well=False)
    settle()
    assert gave_up[0] == []


def test_an_error_in_one_run_is_no_matter_for_the_next(lines):
    made, met, gave_up = lines(2)
    begin(*made)
    made[1].end(well=False)
    assert made[0].reason(10)
    made[0].end(well=False)
    begin(*made)
    settle()
    assert made[0].reason() == ""
    made[1].end(well=True)
    cut(met[1][0])
    settle()
    assert made[0].reason() == ""
    made[0].end(well=True)
    begin(made[0])
    assert made[0].reason(10).startswith("process 1 of 2 was lost")
    assert gave_up[1] == []


HANGING = """
import socket, sys, time
from hybridner import lifeline
from hybridner.cli.parse import guarded

lifeline._BEAT_SECONDS = lifeline._GRACE_SECONDS = 0.05
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))

def command():
    lifeline.hold(1, 2, {0: connection})
    print("it trains")
    connection.sendall(b"joined\\n")
    time.sleep(60)

sys.exit(guarded(command))
"""


def test_a_process_that_hangs_in_a_collective_ends_with_the_reason():
    with socket.create_server(("127.0.0.1", 0)) as server:
        args = [sys.executable, "-c", HANGING, str(server.getsockname()[1])]
        process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(7)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert out == "it trains\n"
    assert err == (
        "error: process 0 of 2 was lost (killed, or its host went down); "
        "start all 2 again with --resume, to go on from the last checkpoint\n"
    )


def test_a_relay_passes_on_both_ways_and_stays_open_when_the_far_end_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, _, port = relay(f"127.0.0.1:{server.getsockname()[1]}").rpartition(":")
        with socket.create_connection((host, int(port))) as near:
            far, _ = server.accept()
            with far:
                near.sendall(b"ask")
                assert far.recv(9) == b"ask"
                far.sendall(b"answer")
                assert near.recv(9) == b"answer"
            near.settimeout(0.2)
            with pytest.raises(TimeoutError):
                near.recv(9)


def test_a_relay_ends_the_far_connection_with_the_near_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, _, port = relay(f"127.0.0.1:{server.getsockname()[1]}").rpartition(":")
        socket.create_connection((host, int(port))).close()
        far, _ = server.accept()
        with far:
            far.settimeout(10)
            assert far.recv(9) == b""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rows = [ROWS.format(NAMES[i % 8], NAMES[(i * 3 + 1) % 8]) for i in range(36)]
    (folder / "train.txt").write_text("".join(rows[:30]))
    (folder / "valid.txt").write_text("".join(rows[30:]))
    return folder


# The process that is to die tells when it is within the second epoch.
TRAINING = """
import os, sys, time
from pathlib import Path
from hybridner.cli.parse import guarded
from hybridner.cli import run
from hybridner.twins import learner_class

backend, dies, marker = sys.argv[1], sys.argv[2] == "dies", Path(sys.argv[3])
learner = learner_class(backend)
step = learner.step

def slow(self, batch, learning_rate):
    metrics = step(self, batch, learning_rate)
    if dies and self.snapshot().step == 8:
        marker.touch()
        time.sleep(60)
    return metrics

learner.step = slow
sys.exit(guarded(lambda: run(["train", "--backend", backend, *sys.argv[4:]])))
"""


def start_two(backend, *args, dying=None, marker=""):
    """Start the two processes of a run, of which one may wait for its death."""
    address = free_address()
    host, _, port = address.rpartition(":")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    started = []
    for rank in range(2):
        if backend == "torch":
            env |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": host, "MASTER_PORT": port}
            where = []
        else:
            where = ["--coordinator", address, "--num-processes", "2", "--process-id", str(rank)]
        command = [
            sys.executable,
            "-c",
            TRAINING,
            backend,
            "dies" if rank == dying else "lives",
            str(marker),
            *args,
            *where,
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=env, **pipes))
    return started


def finish(processes):
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said


def lose(backend, rank, corpus, folder):
    """Train until a process is killed within the second epoch; what the other one has to say."""
    marker = folder / "at the step"
    args = ["--data", str(corpus), *ARGS, "--output", str(folder / "run")]
    processes = start_two(backend, *args, dying=rank, marker=marker)
    survivor, killed = processes[1 - rank], processes[rank]
    deadline = time.monotonic() + 200
    while not marker.exists():
        assert time.monotonic() < deadline
        assert survivor.poll() is None, survivor.communicate()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    _, err = survivor.communicate(timeout=60)
    killed.communicate()
    assert survivor.returncode == 75
    return err


# Process 0 holds the coordinator of JAX, without which JAX aborts the others.
@pytest.mark.parametrize(("backend", "rank"), [("torch", 1), ("flax", 0)])
def test_a_run_that_lost_a_process_says_so_in_one_line_and_goes_on_as_if_it_had_not(backend, rank, corpus, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert lose(backend, rank, corpus, tmp_path) == (
        f"error: process {rank} of 2 was lost (killed, or its host went down); "
        "start all 2 again with --resume, to go on from the last checkpoint\n"
    )
    finish(start_two(backend, "--output", str(run), "--resume"))
    finish(start_two(backend, "--data", str(corpus), *ARGS, "--output", str(whole)))
    states = [newest_state(backend, folder / "checkpoints")[0] for folder in (run, whole)]
    assert states[0].step == states[1].step == 10
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert bitwise_difference(*(getattr(state, kind) for state in states)) is None
    assert (run / "best/model.safetensors").read_bytes() == (whole / "best/model.safetensors").read_bytes()
