import sys
import threading

import numpy as np
import pytest

from hybridner.errors import InputError
from hybridner_flax.orbax_tree import _one_report, read_tree, write_tree


def say(words):
    print(words, file=sys.stderr)


def say_in_a_thread(words):
    thread = threading.Thread(target=say, args=(words,))
    thread.start()
    thread.join()


def test_while_a_tree_is_written_only_the_main_thread_speaks_and_after_a_failure_too(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with _one_report():
        say_in_a_thread("a page")
        say("a line")
    say_in_a_thread("another line")
    with pytest.raises(OSError, match="full"), _one_report():
        raise OSError("full")
    say_in_a_thread("a late page")
    say("the last line")
    assert capsys.readouterr().err == "a line\nanother line\nthe last line\n"


def test_a_tree_comes_back_as_it_was(tmp_path):
    tree = {"layer": {"kernel": np.arange(6.0).reshape(2, 3)}, "bias": np.arange(3, dtype=np.float32)}
    write_tree(tmp_path / "tree", tree)
    back = read_tree(tmp_path / "tree", lambda headers: None)
    assert back["layer"]["kernel"].tobytes() == tree["layer"]["kernel"].tobytes()
    assert back["bias"].dtype == np.float32
    with pytest.raises(InputError, match=r"holds no manifest\.ocdbt"):
        read_tree(tmp_path, lambda headers: None)
