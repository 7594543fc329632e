"""Ctrl-C and SIGTERM during training."""

import signal
import threading
import time

import pytest

from hybridner.training import signals
from hybridner.training.signals import Interrupted, Stopped, StopSignals

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def usual_handlers():
    before = [signal.signal(number, handler) for number, handler in zip(BOTH, usual(), strict=True)]
    yield
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)


def usual():
    return [signal.default_int_handler, signal.SIG_DFL]


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_is_noted_and_nothing_dies_of_it(number):
    with StopSignals() as stop:
        assert stop.received == 0
        signal.raise_signal(number)
        assert stop.received == number


def test_a_second_ctrl_c_stops_at_once(monkeypatch):
    monkeypatch.setattr(signals, "_SAME_PRESS_SECONDS", 0.0)
    with StopSignals():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.001)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_one_press_that_comes_twice_is_one_and_a_second_sigterm_changes_nothing():
    with StopSignals() as stop:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.received == signal.SIGINT


def test_a_block_that_may_be_left_is_left_at_once():
    def left(stop, block):
        with pytest.raises(Interrupted), stop.may_leave():
            block()
        return True

    reached = []
    with StopSignals() as stop:
        assert left(stop, lambda: (signal.raise_signal(signal.SIGINT), reached.append("after the signal")))
        assert left(stop, lambda: reached.append("though a signal had come before"))
    with StopSignals() as other:
        with other.may_leave():
            reached.append("without a signal")
        signal.raise_signal(signal.SIGINT)  # only recorded, outside the block
    assert reached == ["without a signal"]


def test_the_old_handlers_come_back_whatever_happens():
    def fail():
        with StopSignals():
            assert [signal.getsignal(number) for number in BOTH] != usual()
            raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        fail()
    assert [signal.getsignal(number) for number in BOTH] == usual()


def test_a_signal_that_the_process_was_told_to_ignore_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.received == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_install_nothing():
    found = []

    def work():
        with StopSignals() as stop:
            found.append([signal.getsignal(number) for number in BOTH])
            found.append(stop.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [usual(), 0]


def test_the_exit_code_is_what_a_shell_says():
    assert Stopped("why", signal.SIGINT).exit_code == 130
    assert Stopped("why", signal.SIGTERM).exit_code == 143
