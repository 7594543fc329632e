"""The check of training: two runs, in either framework, must be the same run up to rounding."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from hybridner.batches.encoding import encode
from hybridner.errors import InputError
from hybridner.model.twins import choose_backend, learner_class
from hybridner.parity.bars import Bars, Finding
from hybridner.parity.errors import relative_error, worst
from hybridner.parity.ladder import relative_loss
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from hybridner.tagging.decoding import decode_many
from hybridner.tagging.inference import predict_words
from hybridner.tagging.lattice import model_transitions
from hybridner.text.vocabulary import Vocabulary, load_saved
from hybridner.training.train import make_model_config, read_data, run_vectors

FIRST_STEPS = 500
"""Number of steps that the bar applies to: training amplifies rounding, so later losses prove nothing."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The results in which two equal runs agree.

    Attributes:
        losses: logged training loss by step.
        tokenizer: bytes of the tokenizer's file.
        dev_scores: step and scores of each evaluation.
        dev_logits: ``[words, labels]`` of the dev split, in the run's backend with its final weights.
        dev_tags: ``[words]`` of them, the numbers of the labels of the most probable valid sequences.
    """

    losses: Mapping[int, float]
    tokenizer: bytes
    dev_scores: list[tuple[int, dict[str, Any]]]
    dev_logits: Float[np.ndarray, "words labels"]
    dev_tags: Int[np.ndarray, "words"]


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run, and predict the dev split with its final weights.

    Raises:
        InputError: the run cannot be read, or it logged no loss.
    """
    run = RunDir(folder)
    losses = {record["step"]: record["loss"] for record in run.records() if record["event"] == "step"}
    if not losses:
        raise InputError(f"{folder}: no training loss was logged; train with --log-every 1")
    scores = [(record["step"], record["valid"]) for record in run.records() if record["event"] == "epoch"]
    options, name = run.read_options()
    backend = choose_backend(name)
    newest = newest_state(backend, run.checkpoints)
    if newest is None:
        raise InputError(f"{run.checkpoints}: no checkpoint")
    corpus, tokenizer = read_data(options), load_saved(run.tokenizer)
    if options.data.vectors is not None and isinstance(tokenizer, Vocabulary):
        tokenizer.vectors = run_vectors(run, options)
    labels, config = make_model_config(options, corpus, tokenizer)
    learner = learner_class(backend)(config, options)
    learner.init(newest.state.weights)
    encoded = encode(corpus.splits["valid"], tokenizer, labels, config.input.max_length)
    logits = predict_words(learner, encoded, config.input.pad_token_id)
    tags = decode_many(logits, model_transitions(labels, newest.state.weights))
    return FinishedRun(losses, run.tokenizer.read_bytes(), scores, np.concatenate(logits), np.concatenate(tags))


def loss_errors(a: FinishedRun, b: FinishedRun) -> dict[int, float]:
    """Compute the relative difference of the training losses at each step that either run logged."""
    steps = sorted({*a.losses, *b.losses})
    return {step: relative_loss(a.losses.get(step, math.nan), b.losses.get(step, math.nan)) for step in steps}


def compare_training(a: FinishedRun, b: FinishedRun, bars: Bars) -> Finding:
    """Compare the tokenizers byte for byte, and the losses and dev scores of the first steps.

    If the runs ended within the first steps, also compare their decoded dev tags and their dev logits.
    """
    errors = {f"loss of step {step}": error for step, error in loss_errors(a, b).items() if step <= FIRST_STEPS}
    scores_a, scores_b = ([scores for scores in run.dev_scores if scores[0] <= FIRST_STEPS] for run in (a, b))
    same = {"tokenizer": a.tokenizer == b.tokenizer, "dev scores": scores_a == scores_b}
    if max(*a.losses, *b.losses) <= FIRST_STEPS:
        same["dev tags"] = np.array_equal(a.dev_tags, b.dev_tags)
        errors["dev logits"] = relative_error(a.dev_logits, b.dev_logits)
    errors |= {name: 0.0 if is_same else math.inf for name, is_same in same.items()}
    where, error = worst(errors)
    return Finding("training", error, where, bars.training, errors)
