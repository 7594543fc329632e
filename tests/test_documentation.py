"""The commands and code in the documentation work as described.

The tests run every ``bash`` and ``python`` block of the pages in ``RUN``, page after page in one folder. A plain block
right after one shows its output: each line must appear in that order, apart from numbers and white space. A comment
before a block changes this::

    <!-- not run: WHY -->                       its commands and options must still exist
    <!-- exit code N -->                        of its last line
    <!-- shortened in the tests: OPTIONS -->    are added to its last line

On the other pages the tests run a block only after ``<!-- run -->``, and check the others like one that is not run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hybridner.cli import make_app, run

ROOT = Path(__file__).parents[1]
RUN = [ROOT / "docs" / f"{name}.md" for name in ("tutorial", "python", "converting", "errors")]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>bash|python)\n(?P<text>.*?)^```\n(?:\n```\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"run|test|not run: .+|exit code (?P<code>\d+)|shortened in the tests: (?P<options>.+)")
SCRIPTS = ("train_flax.py", "train_torch.py")
APP = make_app()


class Block(NamedTuple):
    page: Path
    line: int
    mark: str
    kind: str
    text: str
    output: str

    @property
    def is_run(self):
        return self.mark == "run" or (self.page in RUN and not self.mark.startswith("not run: "))


def blocks(page):
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        mark, output = found["mark"] or "", found["output"] or ""
        assert not mark or MARK.fullmatch(mark), f"{page}:{line}: the comment {mark!r} is none of those known here"
        yield Block(page, line, mark, found["kind"], found["text"], output)


ALL = [block for page in PAGES for block in blocks(page)]


def commands(script):
    """Yield the words of each HybridNER command that a script calls."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for i, word in enumerate(words):
            if word in ("hybridner", *SCRIPTS):
                ends = (j for j in range(i, len(words)) if words[j] in ("|", "&&", ";", ">", "<"))
                yield words[i : next(ends, len(words))]


@pytest.fixture(scope="module")
def options():
    """Return a function that lists the options in a command's help."""
    done = {}

    def options(command, capsys, monkeypatch):
        if command not in done:
            monkeypatch.setenv("COLUMNS", "200")
            run([*command, "--help"])
            done[command] = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", capsys.readouterr().out.split("\nexamples:")[0]))
        return done[command]

    return options


def where(value):
    return f"{value.page.name}:{value.line}" if isinstance(value, Block) else None


@pytest.mark.parametrize("block", [block for block in ALL if block.kind == "bash"], ids=where)
def test_every_command_and_option_in_the_documentation_exists(block, options, capsys, monkeypatch):
    wrong = []
    for words in commands(block.text):
        command = tuple(words[1 : 3 if words[1:2] == ["data"] else 2]) if words[0] == "hybridner" else ("train",)
        if not command or command[0].startswith("--"):
            continue
        assert command[0] in APP
        assert command[0] != "data" or command[1] in APP["data"]
        known = options(command, capsys, monkeypatch)
        wrong += [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    assert wrong == (["--epoch"] if "exit code 2" in block.mark else [])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder to run in, and an environment with our commands and without a network."""
    folder = tmp_path_factory.mktemp("documentation")
    (folder / ".bin").mkdir()
    for name, code in (("hybridner", '-c "from hybridner.cli import main; main()"'), ("python", "")):
        (folder / ".bin" / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {code} "$@"\n')
        (folder / ".bin" / name).chmod(0o755)
    for script in SCRIPTS:
        shutil.copy(ROOT / script, folder)
    environment = {
        "PATH": f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / ".hub"),
        "JAX_PLATFORMS": "cpu",
        "COLUMNS": "160",
    }
    return folder, {**os.environ, **environment}


def follow(page, place):
    """Run the blocks of a page."""
    folder, environment = place
    for block in (block for block in ALL if block.page == page and block.is_run):
        mark = MARK.fullmatch(block.mark)
        text = block.text if not (mark and mark["options"]) else f"{block.text.rstrip()} {mark['options']}\n"
        start = ["bash", "-euo", "pipefail", "-c"] if block.kind == "bash" else [sys.executable, "-c"]
        done = subprocess.run([*start, text], cwd=folder, env=environment, capture_output=True, text=True)
        printed = done.stdout + done.stderr
        at = f"{page.name}:{block.line}\n{text}\n{printed}"
        assert done.returncode == int((mark and mark["code"]) or 0), at
        assert "Traceback" not in printed, at
        rest = iter(map(without_numbers, printed.splitlines()))
        for line in map(without_numbers, block.output.splitlines()):
            assert line in rest, f"{line!r} is not printed, or not there: {at}"


def without_numbers(line):
    """Return a line without its numbers and white space."""
    return " ".join(re.sub(r"\d[\d,.e-]*", "0", line).split())


@pytest.fixture(scope="module")
def followed(place):
    """Return the folder after the tutorial, which the other pages continue to use."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    follow(RUN[0], place)
    return place


@pytest.mark.slow
def test_the_tutorial_can_be_followed_and_leaves_what_it_promises(followed):
    folder, _ = followed
    for page, words in (("report.html", "95"), ("letter.html", "Velmora")):
        text = (folder / page).read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert words in text
    assert (folder / "runs" / "names" / "best" / "README.md").exists()
    assert (folder / "runs" / "names" / "curves.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN[1:], ids=lambda page: page.name)
def test_a_page_can_be_followed_after_the_tutorial(followed, page):
    follow(page, followed)


@pytest.mark.slow
def test_what_is_marked_to_be_run_on_other_pages_runs(followed):
    folder, _ = followed
    (folder / "runs" / "sample-tiny-flax").symlink_to("names")  # a stand-in: README.md trains for a minute
    for page in PAGES:
        if page not in RUN:
            follow(page, followed)


def test_every_message_in_the_list_of_errors_is_one_that_the_code_can_give():
    packages = ("hybridner", "hybridner_flax", "hybridner_torch")
    code = "".join(path.read_text(encoding="utf-8") for name in packages for path in (ROOT / name).rglob("*.py"))
    code = re.sub(r'"\n\s*f?"', "", code)  # a literal that continues on the next line
    rows = re.findall(r"^\| (`.*?`) \| ", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 30
    parts = [part.strip() for message in messages for part in message.split("…")]
    assert [part for part in parts if part not in code] == []


def test_every_link_of_the_documentation_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_pages_that_the_help_names_are_there(capsys):
    run(["--help"])
    named = re.findall(r"\w+\.md", capsys.readouterr().out)
    assert len(named) > 3
    assert all((ROOT / name).exists() or (ROOT / "docs" / name).exists() for name in named)
