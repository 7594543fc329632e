"""Models from one form to another; the weights stay the same bits."""

from pathlib import Path

from hybridner.errors import InputError
from hybridner.model_dir import Form, open_model, save_model


def convert_model(source: str | Path, destination: Path, form: Form) -> None:
    """Write the model at ``source`` as a model folder in the form of one twin.

    Args:
        source: a run or a model folder.
        destination: the folder to write.
        form: "flax" for an Orbax checkpoint, "torch" for safetensors.

    Raises:
        InputError: the source is not usable, or the destination is taken.
    """
    if destination.exists():
        raise InputError(f"{destination}: is there already; choose another destination or remove it")
    save_model(destination, open_model(source), form)
