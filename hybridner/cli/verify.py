"""``hybridner verify``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.cli.parse import parse
from hybridner.config.choices import Device
from hybridner.errors import InputError, needs

HELD, DIFFERS = 0, 1


@dataclass(frozen=True)
class VerifyOptions:
    """Prove that a model is the same in Flax and in PyTorch, or that two models are the same.

    Weights, activations, loss, gradients and an AdamW step are compared. Exit code 0: all is the same up to rounding;
    1: something differs; 2: it could not be checked.
    """

    a: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or a checkpoint of the original (NAME.pth)."""
    b: Annotated[str | None, tyro.conf.Positional] = None
    """Another one to compare with; without it A is compared in both twins."""
    data: str | None = None
    """Compare on text of this corpus; on random pieces by default."""
    split: str = "valid"
    """The split to take the text from: train, valid (dev) or test."""
    dtype: Literal["auto", "float64", "float32"] = "auto"
    """float64, where rounding leaves no room for a difference; auto takes float32 on tpu and mps, which lack it."""
    device: Device = "cpu"
    """Where to compute. The proof is about the models, so the CPU will do."""
    steps: int = 1
    """AdamW steps to compare."""
    json: Path | None = None
    """Also write the report to this file, with the error of every tensor; - prints it instead."""
    plot: Path | None = None
    """Also draw the error of every part and tensor to this PNG file; needs matplotlib."""


def run(args: list[str]) -> int:
    """Verify from the command line; the exit code.

    Raises:
        InputError: it could not be checked.
    """
    options = parse(VerifyOptions, args, "hybridner verify")
    for path in (options.json, options.plot):
        check_writable(path)
    if options.plot is not None and (missing := needs("--plot", "matplotlib", "plots")):
        raise InputError(missing)
    if options.device != "cpu":
        # Before a framework starts: matmuls in TF32 or bfloat16 would be a thousand times further off than float32.
        os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    from hybridner.parity.bars import Finding
    from hybridner.parity.report import can_be_drawn, draw_errors, table_header, table_row
    from hybridner.parity.verify import verify

    dtype = options.dtype if options.dtype != "auto" else "float32" if options.device in ("tpu", "mps") else "float64"
    told: list[Finding] = []

    def tell(finding: Finding) -> None:
        print(table_row(finding) if told else f"{table_header()}\n{table_row(finding)}", flush=True)
        told.append(finding)

    with for_people(options.json):
        found = verify(
            options.a,
            options.b,
            data=options.data,
            split=options.split,
            dtype=dtype,
            device=options.device,
            steps=options.steps,
            tell=tell,
        )
        print(f"\nA: {found.a}\nB: {found.b}\n{found.computed}", *found.notes, sep="\n")
        first = next((finding for finding in told if not finding.held), None)
        print(f"NOT the same: {first.rung}, {first.where}" if first else "the same: every rung held")
        if options.plot is not None and can_be_drawn(told):
            draw_errors(told, f"A: {found.a}   B: {found.b}   {found.dtype}", options.plot)
        elif options.plot is not None:
            print(f"{options.plot}: not written, as there is nothing to draw")
    if options.json is not None:
        write_json(options.json, found.to_dict())
    return HELD if found.held else DIFFERS
