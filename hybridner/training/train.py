"""Training from options: data, tokenizer and learner are made here and handed to the loop."""

import zlib
from pathlib import Path
from typing import Any

from hybridner.batches.encoding import encode
from hybridner.config.file import checked_types, read_config
from hybridner.config.options import Options
from hybridner.config.presets import make_options
from hybridner.corpora.corpus import Corpus
from hybridner.corpora.formats import ColumnFormat
from hybridner.corpora.read import check_types, read_corpus
from hybridner.display.console import Reporter
from hybridner.errors import InputError
from hybridner.model.learner import Learner
from hybridner.model.size import check_fits
from hybridner.model.twins import Backend, choose_backend, learner_class
from hybridner.runs.records import TrainingResult
from hybridner.runs.run_dir import RunDir, choose_folder, merge_resumed
from hybridner.text.tokenizer import WordTokenizer, load_tokenizer, train_tokenizer
from hybridner.training.loop import TrainingLoop
from hybridner.training.summary import summary


def train(backend: Backend | None = None, *, config: str | Path | None = None, **options: Any) -> TrainingResult:
    """Train a tagger; the same as ``hybridner train``.

    Args:
        backend: "flax" or "torch"; by default what the file says, else the one that is installed, Flax first.
        config: a TOML or YAML file with options; those given here come before it.
        **options: fields of :class:`hybridner.config.training.Options`.

    Raises:
        InputError: an option, the data or the output folder is not usable.
        Stopped: Ctrl-C or SIGTERM came, and the run was saved; a ``KeyboardInterrupt``.
    """
    values = {**(read_config(Path(config)) if config is not None else {}), **checked_types(options)}
    chosen = choose_backend(backend or values.get("backend"))
    values.pop("backend", None)
    return run_training(chosen, make_options(**values), set(values))


def run_training(backend: Backend, options: Options, explicit: set[str]) -> TrainingResult:
    """Train with ``options``, of which the user named ``explicit``."""
    return prepare(backend, options, explicit).run()


def prepare(backend: Backend, options: Options, explicit: set[str]) -> TrainingLoop:
    """All that comes before training: read the data, make the model, and say what will be done; nothing is written."""
    learner_type = learner_class(backend)
    reporter = Reporter(speaks=learner_type.join(options) == 0)
    run = choose_folder(options, backend)
    if options.run.resume and run.holds_run():
        begun_with = run.read_options()[1]
        if begun_with != backend:
            raise InputError(
                f"{run.folder}: this run was begun with {begun_with}; to go on with {backend}, move it first: "
                f"hybridner convert {run.folder} DST --to {backend}"
            )
        options, notes = merge_resumed(run, options, explicit)
        for note in notes:
            reporter.sentence(note)
    elif options.run.resume:
        reporter.line(f"{run.folder}: nothing to resume, starting anew")

    corpus = read_data(options)
    check_types(corpus)
    tokenizer = make_tokenizer(options, corpus)
    config = options.model.config(tokenizer.vocab_size, len(corpus.labels), tokenizer.pad_id)
    check_fits(config, "the options", training=True)
    encoded = {
        name: encode(split, tokenizer, corpus.labels, config.input.max_length) for name, split in corpus.splits.items()
    }
    learner = learner_type(config, options)
    _agree_on_folder(learner, run)
    if options.devices.dtype == "bfloat16" and learner.device.endswith("cpu"):
        reporter.sentence(
            "bfloat16 is made for GPUs and TPUs: on a CPU it may be slower than float32, and it is less exact"
        )
    loop = TrainingLoop(backend, options, run, reporter, corpus, encoded, tokenizer, config, learner)
    for note in (*corpus.notes, *loop.records.notes):
        reporter.sentence(note)
    if learner.rank == 0:
        reporter.rows(summary(options, corpus, encoded, config, learner, loop.work, run.folder))
    return loop


def _agree_on_folder(learner: Learner, run: RunDir) -> None:
    """Let no process go on to write the run before all have chosen its folder, and see that they chose the same.

    Raises:
        InputError: another process chose another folder.
    """
    chosen = zlib.crc32(str(run.folder).encode()) >> 1
    if learner.agree(chosen) != chosen or learner.agree(-chosen) != -chosen:
        raise InputError(
            f"{run.folder}: another process of this run has chosen another folder; give all the same --output, on a "
            "file system that they share"
        )


def read_data(options: Options) -> Corpus:
    """The corpus that ``options`` name, read as they say."""
    columns = ColumnFormat(options.data.word_column, options.data.tag_column, options.data.comment)
    return read_corpus(options.data.data, columns=columns, misaligned=options.data.misaligned)


def make_tokenizer(options: Options, corpus: Corpus) -> WordTokenizer:
    """The tokenizer that ``options`` name: trained on the train split, or loaded."""
    if options.data.tokenizer == "train":
        return train_tokenizer(corpus.splits["train"], options.data.vocab_size, bool(options.data.lower_case))
    return load_tokenizer(options.data.tokenizer, options.data.lower_case)
