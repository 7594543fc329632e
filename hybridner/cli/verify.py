"""``hybridner verify``."""

import os
from pathlib import Path
from typing import Literal

from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.config.choices import Device
from hybridner.errors import InputError, needs

HELD, DIFFERS = 0, 1


def verify(
    a: str | Path,
    b: str | Path | None = None,
    /,
    *,
    data: str | Path | None = None,
    split: str = "dev",
    dtype: Literal["auto", "float64", "float32"] = "auto",
    device: Device = "cpu",
    steps: int = 1,
    json: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Prove that a model is the same in Flax and in PyTorch, or that two models are the same.

    The weights, activations, loss, gradients and an AdamW step are compared. Exit code 0: all is the same up to
    rounding; 1: something differs; 2: the comparison could not be made.

    Args:
        a: A run, a model folder, or a checkpoint of the original (NAME.pth).
        b: Another one to compare with; without it, A is compared in both backends.
        data: Compare on text of this corpus; on random pieces by default.
        split: The split to take the text from: train, dev or test.
        dtype: float64 shows differences that rounding would hide; auto takes float32 on tpu and mps, which lack
            float64.
        device: Device to compute on. The proof is about the models, so a CPU is enough.
        steps: AdamW steps to compare.
        json: Also write the report to this file, with the error of every tensor; - prints it instead.
        plot: Also draw the error of every part and tensor to this PNG file; needs matplotlib.
    """
    for path in (json, plot):
        check_writable(path)
    if plot is not None and (missing := needs("--plot", "matplotlib", "plots")):
        raise InputError(missing)
    if device != "cpu":
        # Before a framework starts: matmuls in TF32 or bfloat16 would be a thousand times further off than float32.
        os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    from hybridner.parity.bars import Finding
    from hybridner.parity.report import can_be_drawn, draw_errors, table_header, table_row
    from hybridner.parity.verify import verify as compare

    if dtype == "auto":
        dtype = "float32" if device in ("tpu", "mps") else "float64"
    told: list[Finding] = []

    def tell(finding: Finding) -> None:
        print(table_row(finding) if told else f"{table_header()}\n{table_row(finding)}", flush=True)
        told.append(finding)

    with for_people(json):
        found = compare(
            str(a),
            None if b is None else str(b),
            data=None if data is None else str(data),
            split=split,
            dtype=dtype,
            device=device,
            steps=steps,
            tell=tell,
        )
        print(f"\nA: {found.a}\nB: {found.b}\n{found.computed}", *found.notes, sep="\n")
        first = next((finding for finding in told if not finding.passed), None)
        print(f"NOT the same: {first.check}, {first.where}" if first else "the same: every check passed")
        if plot is not None and can_be_drawn(told):
            draw_errors(told, f"A: {found.a}   B: {found.b}   {found.dtype}", plot)
        elif plot is not None:
            print(f"{plot}: not written, as there is nothing to draw")
    if json is not None:
        write_json(json, found.to_dict())
    return HELD if found.passed else DIFFERS
