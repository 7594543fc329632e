import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import hybridner
from hybridner.errors import InputError
from hybridner.training.rendezvous import meet

REPOSITORY = Path(__file__).parents[2]


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def together(address, *processes, timeout=20.0, gap=0.0):
    """The connections that each (rank, number of processes) gets, or its error's message."""
    results = {}

    def one(place, rank, num_processes):
        try:
            results[place] = meet(address, rank, num_processes, timeout)
        except InputError as error:
            results[place] = str(error)

    threads = [threading.Thread(target=one, args=(place, *process)) for place, process in enumerate(processes)]
    for thread in threads:
        thread.start()
        time.sleep(gap)
    for thread in threads:
        thread.join()
    return [results[place] for place in range(len(processes))]


def close(*connections):
    for each in connections:
        for connection in each.values():
            connection.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["the first first", "the first last"])
def test_all_processes_meet_and_leave_the_address_free(order):
    address = free_address()
    connections = together(address, *((rank, 3) for rank in order), gap=0.1)
    assert dict(zip(order, map(sorted, connections), strict=True)) == {0: [1, 2], 1: [0], 2: [0]}
    with socket.create_server(("", int(address.rpartition(":")[2]))):
        pass
    close(*connections)


def test_the_connections_of_a_meeting_lead_to_the_processes_that_they_name():
    connections = dict(enumerate(together(free_address(), (0, 3), (1, 3), (2, 3))))
    for rank in (1, 2):
        connections[0][rank].sendall(b"to %d" % rank)  # at once: nothing of it is taken for the meeting's own words
        assert connections[rank][0].recv(9) == b"to %d" % rank
    close(*connections.values())


def test_one_process_alone_does_not_wait():
    assert meet(free_address(), 0, 1, 1) == {}


def test_processes_that_are_missing_are_named():
    address = free_address()
    first, second = together(address, (0, 4), (2, 4), timeout=1.0)
    assert first.startswith(f"{address}: process 1, 3 of 4 did not join within 1 s")
    assert second.startswith(f"{address}: no process 0 to join there within 1 s")


@pytest.mark.parametrize("processes", [[(0, 3), (1, 3), (1, 3)], [(0, 2), (1, 3)]], ids=["number", "how many"])
def test_processes_that_do_not_agree_are_told(processes):
    first, *_ = together(free_address(), *processes, timeout=2.0)
    assert re.search(r"a process joined as 1 of 3; expected [23] processes", first)


def test_a_stranger_at_the_door_is_sent_away():
    address = free_address()
    met = []
    first = threading.Thread(target=lambda: met.append(meet(address, 0, 2, 20.0)))
    first.start()
    deadline = time.monotonic() + 10
    with socket.socket() as stranger:
        while stranger.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
    met.append(meet(address, 1, 2, 20.0))
    first.join(timeout=10)
    assert sorted(map(list, met)) == [[0], [1]]
    close(*met)


def test_an_address_in_use_is_named():
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"{address}: process 0 cannot listen there"):
            meet(address, 0, 2, 1)


@pytest.mark.parametrize("address", ["host", "host:", ":123", "host:http", "host:70000"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(InputError, match="as HOST:PORT"):
        meet(address, 0, 2, 1)


def test_processes_are_numbered_from_0():
    with pytest.raises(InputError, match="process 2 of 2: processes are numbered from 0 to 1"):
        meet(free_address(), 2, 2, 1)


def test_pytorch_names_the_address_where_nobody_is(monkeypatch):
    host, _, port = free_address().partition(":")
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": host, "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{host}:{port}: no process 0 to join there within 0.5 s"):
        hybridner.train("torch", join_timeout=0.5)


@pytest.mark.parametrize(("rank", "missing"), [(0, "process 1 of 2 did not join"), (1, "no process 0 to join there")])
def test_a_host_that_never_joins_ends_the_command_with_one_line(rank, missing, tmp_path):
    address = free_address()
    args = ["--coordinator", address, "--num-processes", "2", "--process-id", str(rank), "--join-timeout", "1"]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train_flax.py"), *args],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {address}: {missing}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_pytorch_leaves_the_number_of_devices_to_torchrun():
    with pytest.raises(InputError, match="torchrun --nproc-per-node N"):
        hybridner.train("torch", num_devices=2)
