"""``hybridner convert``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from hybridner.cli.output import check_writable, for_people, write_json


def convert(
    source: str | Path,
    destination: Path,
    /,
    *,
    to: Literal["flax", "torch", "original"],
    num_heads: int | None = None,
    labels: Path | None = None,
    tokenizer: str | Path | None = None,
    lstm: Annotated[bool, Parameter(negative="--no-lstm")] = True,
    json: Path | None = None,
) -> None:
    """Convert a model or a run in training between Flax, PyTorch and the original HybridNER, bit for bit.

    Args:
        source: A run, a model folder, or a checkpoint of the original (NAME.pth).
        destination: The folder or file to write; it must not exist yet. A run becomes a run, which you can resume with
            --resume; a model becomes a folder.
        to: flax (weights as an Orbax checkpoint), torch (weights as safetensors), or original (one .pth file).
        num_heads: For a .pth file: its attention heads; 4 by default.
        labels: For a .pth file: a file with one label per line; by default the original's nine labels.
        tokenizer: For a .pth file: its vocab.txt, a tokenizer.json, or a Hub id.
        lstm: For a .pth file: whether the model uses its LSTM.
        json: Also write a report of the conversion to this file; - prints it instead.
    """
    check_writable(json)
    from hybridner.export.convert import convert as convert_model
    from hybridner.saved.original import OriginalOptions

    missing = OriginalOptions(num_heads, labels, None if tokenizer is None else str(tokenizer), lstm)
    done, *notes = convert_model(str(source), destination, to, missing)
    with for_people(json):
        print(done, *notes, sep="\n")
    if json is not None:
        report = {"source": str(source), "destination": str(destination), "to": to, "done": done, "notes": notes}
        write_json(json, report)
