"""A saved model published on the Hugging Face Hub."""

from pathlib import Path

from hybridner.errors import InputError
from hybridner.files.hub import MODEL_FILES, VECTORS, asked, is_repository
from hybridner.files.paths import inside
from hybridner.saved.open import find_model, open_model


def push_model(
    source: str | Path, repository: str, *, private: bool = False, message: str | None = None, dry_run: bool = False
) -> list[str]:
    """Publish a saved model on the Hub: its files, never a run's checkpoints.

    Args:
        source: a run (meaning its best model) or a model folder in safetensors form.
        repository: OWNER/NAME on the Hub; it is created if need be.
        private: hide the repository from others.
        message: the commit message.
        dry_run: only report what would be published; this needs no network.

    Returns:
        Sentences for the user.

    Raises:
        InputError: there is no whole model in safetensors form, a file of it is a link that leads out of its folder,
            ``repository`` is not a valid name, or the Hub is out of reach or refuses.
    """
    if not is_repository(repository):
        raise InputError(f"{repository}: not a name on the Hub; expected OWNER/NAME of letters, digits, '-', '_', '.'")
    folder = find_model(source)
    there = {name: inside(folder, name).is_file() for name in MODEL_FILES}
    missing = [name for name, is_there in there.items() if not is_there and name != VECTORS]
    if missing:
        raise InputError(
            f"{folder}: no {' and no '.join(missing)} in it; make a whole model folder with: "
            "hybridner convert MODEL FOLDER --to torch"
        )
    data = open_model(folder).provenance.get("data")  # do not publish a damaged one
    sizes = [f"  {name}  {(folder / name).stat().st_size:,} bytes" for name, is_there in there.items() if is_there]
    where = f"https://huggingface.co/{repository}{' (private)' if private else ''}"
    if dry_run:
        return [f"would publish {folder} as {where}", *sizes]
    with asked(f"{repository}: not published") as hub:
        hub.create_repo(repository, private=private or None, exist_ok=True)
        if private and not hub.model_info(repository).private:
            raise InputError(f"{repository}: is there already, and public; choose another name or leave --private out")
        hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(MODEL_FILES),
            commit_message=message or f"HybridNER model{f' trained on {data}' if data else ''}",
        )
    return [f"published {folder} as {where}", *sizes, f'open it with: hybridner.load("{repository}")']
