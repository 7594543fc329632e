"""An address of this host that stands for one of another, and stays open when that host is gone."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 1 << 16


def relay(address: str) -> str:
    """Pass on, in threads, what comes to an address of this host alone to ``address``, and back what that answers.

    A connection that the other side ends is not ended on this one. So JAX, which aborts its process in the moment that
    it loses the coordinator in process 0, only hears nothing more, until it misses heartbeats.

    Args:
        address: HOST:PORT.

    Returns:
        The address here, as HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection((host.strip("[]"), int(port)))
            except OSError:
                near.close()  # not there yet: whoever asks, asks again
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _in_thread(_pass_on, near, far)
            _in_thread(_pass_back, far, near)

    _in_thread(accept)
    return f"127.0.0.1:{listener.getsockname()[1]}"


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    with near, suppress(OSError):
        while data := near.recv(_CHUNK):
            with suppress(OSError):  # gone: nobody answers, and that is all there is to be seen here
                far.sendall(data)
    with suppress(OSError):
        far.shutdown(socket.SHUT_RDWR)


def _pass_back(far: socket.socket, near: socket.socket) -> None:
    with far, suppress(OSError):
        while data := far.recv(_CHUNK):
            near.sendall(data)


def _in_thread(target: Callable[..., None], *args: socket.socket) -> None:
    threading.Thread(target=target, args=args, name="hybridner-relay", daemon=True).start()
