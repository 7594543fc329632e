"""``hybridner verify``."""

import os
from pathlib import Path
from typing import Literal

from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.config.choices import Device
from hybridner.errors import InputError, needs


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

    It compares the weights, activations, loss, gradients and AdamW steps. Exit code 0: all is the same up to rounding;
    1: something differs; 2: the comparison could not be made.

    Args:
        a: A run, a model folder, or a checkpoint of the original (NAME.pth).
        b: Another one to compare with; without it, A in Flax is compared with A in PyTorch.
        data: Compare on text of this corpus; on random pieces by default.
        split: The split of that corpus: train, dev or test.
        dtype: float64 shows differences that rounding would hide; auto is float32 on tpu and mps, which lack float64.
        device: Device to compute on. The proof is about the models, so a CPU is enough.
        steps: AdamW steps to compare.
        json: Also write the report to this file, with the error of every tensor; - prints it instead.
        plot: Also draw the error of every part and tensor to this PNG file; needs matplotlib.
    """
    check_writable(json, plot)
    if plot is not None and (missing := needs("--plot", "matplotlib", "plots")):
        raise InputError(missing)
    if device != "cpu":
        # Before a framework starts: matmuls in TF32 or bfloat16 would err a thousand times more than float32.
        os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    from hybridner.parity.bars import Finding
    from hybridner.parity.report import can_be_drawn, draw_errors, table_header, table_row
    from hybridner.parity.verify import verify as compare

    if dtype == "auto":
        dtype = "float32" if device in ("tpu", "mps") else "float64"
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        print(table_row(finding) if findings else f"{table_header()}\n{table_row(finding)}", flush=True)
        findings.append(finding)

    other, corpus = (None if given is None else str(given) for given in (b, data))
    with for_people(json):
        found = compare(str(a), other, data=corpus, split=split, dtype=dtype, device=device, steps=steps, tell=tell)
        print(f"\nA: {found.a}\nB: {found.b}\n{found.computed}", *found.notes, sep="\n")
        first = next((finding for finding in findings if not finding.passed), None)
        print(f"NOT the same: {first.check}, {first.where}" if first else "the same: every check passed")
        if plot is not None and can_be_drawn(findings):
            draw_errors(findings, f"A: {found.a}   B: {found.b}   {found.dtype}", plot)
        elif plot is not None:
            print(f"{plot}: not written, because there is nothing to draw")
    if json is not None:
        write_json(json, found.to_dict())
    return int(not found.passed)
