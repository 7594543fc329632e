"""Models to and from the Hugging Face Hub, whose library is replaced here: the tests use no network."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

import hybridner
from hybridner.cli import run
from hybridner.cli.parse import guarded
from hybridner.errors import InputError
from hybridner.files.hub import MODEL_FILES, VECTORS, is_repository
from hybridner.saved.folder import save_model
from hybridner.saved.open import find_model
from hybridner.text.tokenizer import WordTokenizer

TOKEN = "hf_notatokenatall"
FILES = [name for name in MODEL_FILES if name != VECTORS]  # of a model without vectors of words


@pytest.fixture
def hub(monkeypatch):
    """Replace the Hub's functions by ones that record their calls."""
    asked = {}

    def remember(name, answer=None):
        def function(*args, **kwargs):
            asked[name] = {"": args, **kwargs}
            return answer

        monkeypatch.setattr(huggingface_hub, name, function)

    remember("create_repo")
    remember("upload_folder")
    remember("model_info", SimpleNamespace(private=True))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return asked


@pytest.fixture
def refusing(monkeypatch):
    """Make a function of the Hub's library fail."""

    def refusing(name, error):
        def function(*args, **kwargs):
            raise error

        monkeypatch.setattr(huggingface_hub, name, function)

    return refusing


@pytest.fixture
def a_run(saved_model, tmp_path):
    """Make a folder that looks like a run."""
    shutil.copytree(saved_model, tmp_path / "run" / "best")
    (tmp_path / "run" / "checkpoints" / "7").mkdir(parents=True)
    (tmp_path / "run" / "best" / "notes.txt").write_text("mine")
    return tmp_path / "run"


@pytest.fixture
def fails(capsys):
    """Run a command that must fail; return its message."""

    def fails(*args):
        assert guarded(lambda: run([str(arg) for arg in args])) == 2
        printed = capsys.readouterr()
        assert TOKEN not in printed.out + printed.err
        (*_, line) = printed.err.splitlines()
        return line

    return fails


def answer(status):
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return HfHubHTTPError(f"{status}\nand more", response=response)


def test_a_run_publishes_its_best_models_own_files_and_nothing_else(hub, a_run, capsys):
    assert run(["push", str(a_run), "me/names"]) == 0
    upload = hub["upload_folder"]
    assert (upload["repo_id"], upload["folder_path"]) == ("me/names", a_run / "best")
    kept = huggingface_hub.utils.filter_repo_objects(
        (path.relative_to(a_run / "best").as_posix() for path in (a_run / "best").rglob("*")),
        allow_patterns=upload["allow_patterns"],
    )
    assert sorted(kept) == sorted(FILES)
    assert upload["commit_message"] == "HybridNER model trained on sample"
    assert hub["create_repo"] == {"": ("me/names",), "private": None, "exist_ok": True}
    said = capsys.readouterr()
    assert "https://huggingface.co/me/names" in said.out
    assert TOKEN not in said.out + said.err


def test_what_is_asked_for_is_handed_on(hub, saved_model):
    assert run(["push", str(saved_model), "me/names", "--private", "--message", "Better"]) == 0
    assert hub["create_repo"]["private"] is True
    assert hub["upload_folder"]["commit_message"] == "Better"


def test_a_private_model_never_goes_where_all_can_see_it(hub, saved_model, fails, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "model_info", lambda repository: SimpleNamespace(private=False))
    assert "is there already, and public" in fails("push", saved_model, "me/names", "--private")
    assert "upload_folder" not in hub


def test_a_dry_run_says_what_would_be_done_and_asks_nobody(hub, a_run, capsys):
    assert run(["push", str(a_run), "me/names", "--private", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"would publish {a_run / 'best'} as https://huggingface.co/me/names (private)\n")
    for name in FILES:
        assert f"  {name}  {(a_run / 'best' / name).stat().st_size:,} bytes\n" in said
    assert hub == {}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (answer(401), "hf auth login"),
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (answer(403), "your token does not permit this"),
        (ConnectionError("no route"), "out of reach"),
        (OfflineModeIsEnabled("offline"), "out of reach"),
        (answer(500), "HfHubHTTPError: 500 and more"),
    ],
)
@pytest.mark.parametrize("step", ["create_repo", "upload_folder"])
def test_every_way_in_which_the_hub_refuses_is_one_clear_line(hub, refusing, saved_model, fails, step, error, said):
    refusing(step, error)
    line = fails("push", saved_model, "me/names")
    assert line.startswith("error: me/names: not published: ")
    assert said in line


@pytest.mark.parametrize("name", ["names", "me/my/names", "me names/x", "https://huggingface.co/me/names", "me/"])
def test_a_name_that_the_hub_cannot_have_is_refused(hub, saved_model, fails, name):
    assert "expected OWNER/NAME" in fails("push", saved_model, name)
    assert hub == {}


def test_only_a_whole_model_is_published(hub, model, saved_model, tmp_path, fails):
    save_model(tmp_path / "orbax", model, "flax")
    assert "no model.safetensors in it" in fails("push", tmp_path / "orbax", "me/names")
    shutil.copytree(saved_model, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"short")
    assert "model.safetensors: cannot be read" in fails("push", tmp_path / "damaged", "me/names")
    assert hub == {}


def test_a_model_is_loaded_from_the_hub_by_its_name(saved_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(saved_model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    tagger = hybridner.load("me/names", "torch", device="cpu")
    assert isinstance(tagger.model.tokenizer, WordTokenizer)
    assert asked == [("me/names", list(MODEL_FILES))]
    assert capsys.readouterr().err == "me/names: not here; asking the Hugging Face Hub\n"


def test_a_local_folder_comes_before_the_hub_and_a_slip_in_its_path_is_not_sent_there(
    saved_model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved_model, "runs/mine")
    assert find_model("runs/mine").resolve() == tmp_path / "runs" / "mine"
    for slip in ("runs/mien", "nothing", "./me/names", str(tmp_path / "me" / "names"), "a/b/c"):
        with pytest.raises(InputError, match="no such file or folder; give a run"):
            find_model(slip)


def test_a_model_that_is_nowhere_is_one_clear_line(refusing, tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    refusing("snapshot_download", answer(404))
    line = fails("predict", "me/names", "text")
    assert line.startswith(
        "error: me/names: no such file or folder here, and the Hub did not provide it: the Hub has no such"
    )


@pytest.mark.parametrize("command", [("push", "MODEL", "me/names"), ("predict", "me/names", "text")])
def test_a_network_that_refuses_is_one_clear_line(saved_model, tmp_path, command):
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "*", "HF_HOME": str(tmp_path / "hf")}
    arguments = [str(saved_model) if word == "MODEL" else word for word in command]
    done = subprocess.run(
        [sys.executable, "-c", "from hybridner.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 2
    assert "the Hub is out of reach" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_names_of_the_hub_are_told_from_paths():
    assert is_repository("dslim/bert-base_NER.v1")
    assert not any(map(is_repository, ("a", "a/b/c", "/a/b", "../b", "~/b", "a/", "a b/c", "./a")))
