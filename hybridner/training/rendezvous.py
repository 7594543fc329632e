"""The processes of a run meet before their framework joins them, so that one that is missing is named.

Left to itself, JAX kills a process that has waited in vain, and PyTorch prints pages.
"""

import socket
import time
from contextlib import ExitStack

from hybridner.errors import InputError

_ASK_EVERY = 0.2
_LONGEST_LINE = 200


def meet(address: str, rank: int, num_processes: int, timeout: float) -> dict[int, socket.socket]:
    """Wait until all processes are there; process 0 listens at ``address`` meanwhile, and then others may.

    Args:
        address: HOST:PORT of process 0.
        rank: number of this process, from 0.
        num_processes: how many there are.
        timeout: seconds to wait.

    Returns:
        The connections of this process, by the number of the process at the other end: process 0 has one with each of
        the others, and they have one with process 0.

    Raises:
        InputError: one does not come in time, two have the same number, they do not agree on how many they are, or
            the address cannot be used.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"{address}: expected the address of process 0 as HOST:PORT")
    if not 0 <= rank < num_processes:
        raise InputError(f"process {rank} of {num_processes}: processes are numbered from 0 to {num_processes - 1}")
    deadline = time.monotonic() + timeout
    if rank == 0:
        return _wait_for_all(address, int(port), num_processes, timeout, deadline)
    return {0: _report(address, (host.strip("[]"), int(port)), f"{rank}/{num_processes}", timeout, deadline)}


def free_port() -> int:
    """A port of this host at which nobody listens."""
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for_all(
    address: str, port: int, num_processes: int, timeout: float, deadline: float
) -> dict[int, socket.socket]:
    there: dict[int, socket.socket] = {}
    try:
        try:
            listener = socket.create_server(("", port), backlog=num_processes)
        except OSError as error:
            raise InputError(f"{address}: process 0 cannot listen there ({error.strerror})") from error
        with listener:
            while len(there) < num_processes - 1:
                try:
                    listener.settimeout(max(deadline - time.monotonic(), 0.001))
                    connection, _ = listener.accept()
                except TimeoutError:
                    missing = [str(rank) for rank in range(1, num_processes) if rank not in there]
                    raise InputError(
                        f"{address}: process {', '.join(missing)} of {num_processes} did not join within {timeout:g} s "
                        "(--join-timeout); is it running, and can it reach this address?"
                    ) from None
                rank, of = _who(connection)
                if rank is None:  # a stranger
                    connection.close()
                    continue
                if of != num_processes or rank in there or not 0 < rank < num_processes:
                    connection.close()
                    wrong = f"a process joined as {rank} of {of}"
                    expected = f"expected {num_processes} processes, each with a number of its own"
                    raise InputError(f"{address}: {wrong}; {expected}")
                there[rank] = connection
        for connection in there.values():
            connection.sendall(b"go\n")
        return there
    except BaseException:
        for connection in there.values():
            connection.close()
        raise


def _who(connection: socket.socket) -> tuple[int | None, int]:
    try:
        connection.settimeout(_ASK_EVERY * 10)
        rank, _, of = _line(connection).partition("/")
        connection.settimeout(None)
        return int(rank), int(of)
    except (OSError, ValueError):
        return None, 0


def _report(address: str, at: tuple[str, int], who: str, timeout: float, deadline: float) -> socket.socket:
    while True:
        try:
            connection = socket.create_connection(at, timeout=max(deadline - time.monotonic(), _ASK_EVERY))
            with ExitStack() as stack:
                stack.enter_context(connection)
                connection.sendall(f"{who}\n".encode())
                connection.settimeout(max(deadline - time.monotonic(), _ASK_EVERY))
                if _line(connection) == "go":
                    connection.settimeout(None)
                    stack.pop_all()
                    return connection
        except (OSError, ValueError):
            pass
        if time.monotonic() >= deadline:
            raise InputError(
                f"{address}: no process 0 to join there within {timeout:g} s (--join-timeout); is it running, are all "
                "the others, and is the address right?"
            )
        time.sleep(_ASK_EVERY)


def _line(connection: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\n") and len(text) < _LONGEST_LINE:
        more = connection.recv(1)  # what comes after the line is for others to read
        if not more:
            raise ValueError("closed before a whole line came")
        text += more
    return text.decode("ascii").strip()
