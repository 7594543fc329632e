"""Training from options: data, tokenizer and learner are made here and handed to the loop."""

from pathlib import Path
from typing import Any

from hybridner.config import ModelConfig, TrainingConfig, training_config
from hybridner.console import Reporter
from hybridner.data.corpus import Corpus
from hybridner.data.encoding import Encoded, encode
from hybridner.data.read import check_types, read_corpus
from hybridner.data.tokenizer import WordTokenizer, load_tokenizer, train_tokenizer
from hybridner.errors import InputError
from hybridner.learner import Learner
from hybridner.loop import TrainingLoop, TrainingResult
from hybridner.run_dir import RunDir, choose_folder, merge_resumed
from hybridner.twins import Backend, choose_backend, learner_class
from hybridner.weights import num_parameters


def train(backend: Backend | None = None, **options: Any) -> TrainingResult:
    """Train a tagger; the same as ``hybridner train``.

    Args:
        backend: "flax" or "torch"; by default the one that is installed, Flax first.
        **options: fields of :class:`hybridner.config.TrainingConfig`.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    if isinstance(options.get("output"), str):
        options["output"] = Path(options["output"])
    return run_training(choose_backend(backend), training_config(**options), set(options))


def run_training(backend: Backend, options: TrainingConfig, explicit: set[str]) -> TrainingResult:
    """Train with ``options``, of which the user named ``explicit``."""
    learner_type = learner_class(backend)
    reporter = Reporter(speaks=learner_type.join(options) == 0)
    run = choose_folder(options, backend)
    if options.resume and run.holds_run():
        begun_with = run.read_options()[1]
        if begun_with != backend:
            raise InputError(
                f"{run.folder}: this run was begun with {begun_with}; to go on with {backend}, move it first: "
                f"hybridner convert {run.folder} DST --to {backend}"
            )
        options, notes = merge_resumed(run, options, explicit)
        for note in notes:
            reporter.line(note)
    elif options.resume:
        reporter.line(f"{run.folder}: nothing to resume, starting anew")

    corpus = read_corpus(options.data)
    check_types(corpus)
    tokenizer = make_tokenizer(options, corpus)
    config = options.model(tokenizer.vocab_size, len(corpus.labels), tokenizer.pad_id)
    encoded = {
        name: encode(split, tokenizer, corpus.labels, config.max_length) for name, split in corpus.splits.items()
    }
    learner = learner_type(config, options)
    _describe(reporter, run, corpus, encoded, config, learner)
    loop = TrainingLoop(backend, options, run, reporter, corpus, encoded, tokenizer, config, learner)
    return loop.run()


def make_tokenizer(options: TrainingConfig, corpus: Corpus) -> WordTokenizer:
    """The tokenizer that ``options`` name: trained on the train split, or loaded."""
    if options.tokenizer == "train":
        return train_tokenizer(corpus.splits["train"], options.vocab_size, bool(options.lower_case))
    return load_tokenizer(options.tokenizer, options.lower_case)


def _describe(
    reporter: Reporter,
    run: RunDir,
    corpus: Corpus,
    encoded: dict[str, Encoded],
    config: ModelConfig,
    learner: Learner,
) -> None:
    for note in corpus.notes:
        reporter.line(note)
    for name, report in corpus.reports.items():
        windowed = encoded[name].num_windowed
        cut = f", {windowed:,} cut into windows of at most {config.max_length} pieces" if windowed else ""
        reporter.line(f"{name}: {report.sentences:,} sentences, {report.words:,} words{cut}")
    types = dict.fromkeys(label[2:] for label in corpus.labels[1:])
    reporter.line(f"{len(corpus.labels)} labels: O, and B- and I- of {', '.join(types)}")
    reporter.line(f"model: {num_parameters(config):,} parameters, {config.vocab_size:,} pieces, on {learner.device}")
    reporter.line(f"run: {run.folder}")
