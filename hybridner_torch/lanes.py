"""Threads that compute side by side, each with a part of the cores."""

from threading import Lock, Thread

import torch

_setting = Lock()


def share_cores(num_lanes: int) -> None:
    """Let the calling thread compute on one of ``num_lanes`` equal parts of the cores, and all others as they did.

    OpenMP and MKL keep the number of cores by thread. PyTorch writes down the number that was set last, by whichever
    thread, and goes by it in a thread's first computation: it is read here, for this thread, and written back by
    a thread that ends at once.
    """
    with _setting:
        whole = torch.get_num_threads()
        torch.set_num_threads(max(1, whole // num_lanes))
        torch.get_num_threads()
        thread = Thread(target=torch.set_num_threads, args=(whole,))
        thread.start()
        thread.join()
