"""``hybridner predict`` as a user types it: inputs, outputs, and errors."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

import hybridner
from hybridner.cli import run
from hybridner.cli.parse import CLOSED_PIPE, guarded

TEXTS = ["Anna Tarkin met the mayor of Dorst.", "The river Velmora is long ; who knows ?"]
CODE = "import sys; from hybridner.cli import main; sys.argv[0] = 'hybridner'; main()"


@pytest.fixture
def typed(saved_model, capsys):
    """Run predict, which must succeed; return its output."""

    def typed(*args):
        assert run(arguments(saved_model, *args)) == 0
        return capsys.readouterr()

    return typed


@pytest.fixture
def fails(saved_model, capsys):
    """Run predict, which must fail; return its output before the failure, and its message."""

    def fails(*args, model=None):
        assert guarded(lambda: run(arguments(model or saved_model, *args))) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed

    return fails


def arguments(model, *args):
    return ["predict", str(model), "--backend", "torch", "--device", "cpu", *map(str, args)]


@pytest.fixture
def source(tmp_path):
    def source(name, *lines):
        path = tmp_path / name
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return path

    return source


def test_objects_keep_their_keys_and_words_stay_as_they_are(typed, source):
    path = source("in.jsonl", {"id": 7, "text": TEXTS[0], "x": [1]}, "\n", {"words": ["U.S", "."], "tags": ["O", "O"]})
    printed = typed("--input", path)
    first, second = map(json.loads, printed.out.splitlines())
    assert (first["id"], first["x"], first["text"]) == (7, [1], TEXTS[0])
    assert second["text"] == "U.S ."
    assert [word["text"] for word in second["words"]] == ["U.S", "."]
    assert "1 object had words, tags or entities" in printed.err


def test_several_files_of_several_formats_are_tagged_one_after_the_other(typed, source):
    paths = [
        source("a.txt", f"{TEXTS[0]}\n\n"),
        source("b.conll", "Anna O\nmet O\n\n-DOCSTART- O\n\nDorst O\n"),
        source("c.jsonl", {"text": TEXTS[1]}),
    ]
    found = [json.loads(line)["text"] for line in typed("--input", *paths).out.splitlines()]
    assert found == [TEXTS[0], "", "Anna met", "Dorst", TEXTS[1]]
    rows = typed("--format", "conll", "--input", paths[1]).out.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["Anna", "met", "", "-DOCSTART-", "", "Dorst", ""]


def test_a_line_that_breaks_stops_the_work_after_what_stands_before_it(typed, fails, source):
    good = [{"text": f"Anna {n}."} for n in range(3)]
    path = source("in.jsonl", *(f"{json.dumps(line)}\n" for line in good), "{broken\n", {"text": "Dorst."})
    printed = fails("--input", path)
    assert [json.loads(line)["text"] for line in printed.out.splitlines()] == ["Anna 0.", "Anna 1.", "Anna 2."]
    assert "in.jsonl:4: not JSON" in printed.err
    skipping = typed("--input", path, "--skip-bad")
    assert len(skipping.out.splitlines()) == 4
    assert "1 line skipped; the first: " in skipping.err
    assert "in.jsonl:4: not JSON" in skipping.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.txt", b"\x7fELF\x02\x00\x00", "in.txt:1: a NUL byte"),
        ("in.txt", "Zoë".encode("utf-16"), "in.txt:1: not UTF-8"),
        ("in.txt", b"a\nZo\xeb\n", "in.txt:2: not UTF-8 (byte 2)"),
        ("in.conll", b"a O\n\tb O\n", "in.conll:2: a TAB"),
    ],
)
def test_input_that_is_not_usable_is_named_in_one_line(fails, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in fails("--input", tmp_path / name).err


def test_what_cannot_be_read_or_written_is_said_before_the_model_is_opened(fails, tmp_path):
    nowhere = tmp_path / "nowhere"
    assert "in.txt: no such file" in fails("--input", tmp_path / "in.txt", model=nowhere).err
    assert "a folder; expected a file" in fails("--input", tmp_path, model=nowhere).err
    assert "there is no folder" in fails("x", "--output", nowhere / "out.jsonl", model=nowhere).err
    assert "a folder; expected the name of a file" in fails("x", "--output", tmp_path, model=nowhere).err
    assert "no such file or folder" in fails("x", "--output", tmp_path / "out.jsonl", model=nowhere).err
    assert "exclude each other" in fails("x", "--input-format", "jsonl", model=nowhere).err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "named"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights"), ("tokenizer.json", "has no tokenizer")],
)
def test_a_model_with_a_file_missing_is_named(fails, saved_model, tmp_path, missing, named):
    model = shutil.copytree(saved_model, tmp_path / "model")
    (model / missing).unlink()
    said = fails("Anna", model=model).err
    assert str(model) in said
    assert named in said


def test_the_output_file_is_written_whole_or_not_at_all(typed, fails, source, tmp_path):
    expected = typed(*TEXTS).out
    out = tmp_path / "out.jsonl"
    assert typed(*TEXTS, "--output", out).out == ""
    assert out.read_text() == expected
    fails("--input", source("in.jsonl", {"text": "Anna"}, "\n{"), "--output", out)
    assert out.read_text() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    assert typed(*TEXTS, "--output", "-").out == expected


@pytest.mark.parametrize(
    ("suffix", "format_"), [("html", "html"), ("conll", "conll"), ("txt", "text"), ("out", "jsonl")]
)
def test_the_name_of_the_output_file_says_its_format(typed, tmp_path, suffix, format_):
    typed(*TEXTS, "--output", tmp_path / f"x.{suffix}")
    assert (tmp_path / f"x.{suffix}").read_text() == typed(*TEXTS, "--format", format_).out


def test_texts_without_entities_print_nothing_as_entities(typed):
    assert typed("--format", "text", "", " ", "\u200b").out == ""
    assert typed("--format", "conll", "", " ").out == ""


def test_raw_tags_are_those_of_the_tagger(typed, saved_model):
    text = " ".join([*TEXTS, "they say Anna Tarkin knows the mayor on Monday"])
    tagger = hybridner.load(saved_model, "torch", device="cpu")
    for args, raw in (((), False), (("--raw-tags",), True)):
        (tagged,) = tagger.tag_texts([text], "none", raw=raw)
        assert json.loads(typed(text, "--sentences", "none", *args).out)["tags"] == tagged.tags


def test_a_reader_that_has_enough_ends_the_work_quietly(saved_model, tmp_path):
    (tmp_path / "in.txt").write_text("Anna Tarkin met the mayor of Dorst.\n" * 3000)
    command = [sys.executable, "-c", CODE, *arguments(saved_model, "--input", tmp_path / "in.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == CLOSED_PIPE


def in_terminal(args, **environment):
    """Return what a terminal of 40 columns shows of standard output and standard error."""
    (out, out_end), (err, err_end) = pty.openpty(), pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *args],
        stdin=subprocess.DEVNULL,
        stdout=out_end,
        stderr=err_end,
        env={**clean, "TERM": "xterm", "COLUMNS": "40", **environment},
    )
    shown = []
    for end, ours in ((out_end, out), (err_end, err)):
        os.close(end)
        parts = []
        while True:
            try:
                parts.append(os.read(ours, 1 << 16))
            except OSError:  # the other end is closed
                break
            if not parts[-1]:
                break
        shown.append(b"".join(parts).decode())
        os.close(ours)
    assert process.wait() == 0
    return shown


def test_a_terminal_shows_texts_with_their_entities_coloured_unless_it_has_no_colour(saved_model, typed):
    args = arguments(saved_model, *TEXTS)
    plain = typed(*TEXTS, "--format", "color").out
    assert re.search(r"\[.+ (PER|ORG|LOC|MISC)\]", plain)
    assert "\x1b" not in plain
    bright, _ = in_terminal(args)
    assert "\x1b[3" in bright
    assert re.sub(r"\x1b\[[0-9;]*m", "", bright).replace("\r\n", "\n") == plain
    shown, _ = in_terminal(args, NO_COLOR="1")
    assert "\x1b[3" not in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n") == plain


def test_a_bar_shows_how_much_of_a_file_is_read_where_there_is_a_terminal(saved_model, typed, tmp_path):
    (tmp_path / "in.txt").write_text("Anna Tarkin met the mayor of Dorst.\n" * 300)
    args = ("--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl")
    out, bar = in_terminal(arguments(saved_model, *args))
    assert out == ""
    assert "kB" in bar
    assert typed(*args) == ("", "")


def test_a_browser_shows_the_page_and_runs_nothing_of_the_texts(saved_model, tmp_path, typed):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    run_this = "document.title='run'"
    text = f'Anna Tarkin met <script>{run_this}</script> <img src=x onerror="{run_this}"> שלום Dorst'
    typed(text, *TEXTS, "--output", tmp_path / "page.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    url = (tmp_path / "page.html").as_uri()
    dom = subprocess.run([browser, *options, url], capture_output=True, check=True, timeout=120).stdout.decode()
    assert "<title>Entities</title>" in dom
    tagger = hybridner.load(saved_model, "torch", device="cpu")
    for one in (text, *TEXTS):
        for entity in tagger.tag(one):
            escaped = entity.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            assert (
                f'data-label="{entity.label}" title="{entity.label}, score {entity.score:.3f}">{escaped}</mark>' in dom
            )
