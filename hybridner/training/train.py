"""Training from options: read the data, make the tokenizer and the learner, and start the loop."""

import zlib
from pathlib import Path
from typing import Unpack

from hybridner.batches.encoding import encode
from hybridner.batches.packing import ShapePlan
from hybridner.config.file import read_config
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.config.presets import sized
from hybridner.config.typed import TrainOptions
from hybridner.corpora.corpus import Corpus
from hybridner.corpora.formats import ColumnFormat
from hybridner.corpora.labels import bioes_labels
from hybridner.corpora.read import check_types, read_corpus
from hybridner.display.console import Reporter
from hybridner.errors import InputError
from hybridner.model.learner import Learner
from hybridner.model.size import check_fits
from hybridner.model.twins import Backend, choose_backend, learner_class
from hybridner.runs.checkpoints import open_checkpoints
from hybridner.runs.records import TrainingResult, left_out
from hybridner.runs.run_dir import RunDir, choose_folder, merge_resumed
from hybridner.saved.folder import find_vectors
from hybridner.text.tokenizer import WordTokenizer, load_tokenizer, train_tokenizer
from hybridner.text.vector_files import read_vectors
from hybridner.text.vectors import WordVectors
from hybridner.text.vocabulary import Vocabulary, load_saved, train_vocabulary
from hybridner.training.job import TrainingJob
from hybridner.training.loop import TrainingLoop
from hybridner.training.summary import summary
from hybridner.training.workload import Workload


def train(
    backend: Backend | None = None, *, config: str | Path | None = None, **options: Unpack[TrainOptions]
) -> TrainingResult:
    """Train a tagger; the same as ``hybridner train``.

    Args:
        backend: "flax" or "torch"; by default the file's, else the one that is installed, Flax first.
        config: a TOML or YAML file with options; those given here override it.
        **options: any options of ``hybridner train``; :mod:`hybridner.config.options` documents each.

    Raises:
        InputError: an option, the data or the output folder is not usable.
        Stopped: Ctrl-C or SIGTERM came, and the run was saved; a ``KeyboardInterrupt``.
    """
    made, values, named = read_config(None if config is None else Path(config).expanduser(), **options)
    return run_training(choose_backend(backend or named), made, set(values))


def run_training(backend: Backend, options: Options, explicit: set[str]) -> TrainingResult:
    """Train with ``options``, of which the user named ``explicit``."""
    return TrainingLoop(prepare(backend, options, explicit)).run()


def prepare(backend: Backend, options: Options, explicit: set[str]) -> TrainingJob:
    """Read the data, make the model, and print a summary of the run; write nothing.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    learner_type = learner_class(backend)
    reporter = Reporter(speaks=learner_type.join(options) == 0)
    run = choose_folder(options, backend)
    resumes = options.run.resume and run.holds_run()
    if resumes:
        if (before := run.read_options()[1]) != backend:
            raise InputError(
                f"{run.folder}: this run was started with {before}; to resume it with {backend}, convert it first: "
                f"hybridner convert {run.folder} DST --to {backend}"
            )
        options, notes = merge_resumed(run, options, explicit)
        for note in notes:
            reporter.sentence(note)
    elif options.run.resume:
        reporter.line(f"{run.folder}: nothing to resume, starting a new run")

    corpus = read_data(options)
    check_types(corpus)
    if not resumes:
        options = sized(options, explicit, len(corpus.splits["train"]))
    if resumes and open_checkpoints(backend, run.checkpoints, read_only=True).latest_step() is not None:
        # The weights belong to this tokenizer's pieces; one trained on changed data would have others.
        tokenizer = load_saved(run.tokenizer)
    else:
        tokenizer = make_tokenizer(options, corpus)
    if options.data.vectors is not None and isinstance(tokenizer, Vocabulary):
        tokenizer.vectors = run_vectors(run, options) if resumes else read_vectors(Path(options.data.vectors))
        found = tokenizer.vectors
        if found.num_repeated:
            rows = f"{found.num_repeated:,} of {len(found):,} rows repeat a word"
            reporter.sentence(f"{found.where}: {rows}; the first vector of each word counts")
    labels, config = make_model_config(options, corpus, tokenizer)
    check_fits(config, "the options", training=True)
    encoded = {name: encode(split, tokenizer, labels, config.input.max_length) for name, split in corpus.splits.items()}
    learner = learner_type(config, options)
    _agree_on_folder(learner, run)
    if options.devices.dtype == "bfloat16" and learner.device.endswith("cpu"):
        reporter.sentence("bfloat16 is for GPUs and TPUs: on a CPU it may be slower than float32, and it is less exact")
    plan = ShapePlan(encoded["train"].lengths, options.optimization.batch_size, learner.row_multiple)
    work = Workload(options, config, encoded, plan)
    job = TrainingJob(
        backend, options, run, resumes, reporter, corpus, labels, encoded, tokenizer, config, learner, plan, work
    )
    for note in (*corpus.notes, *filter(None, left_out().values())):
        reporter.sentence(note)
    if job.is_first:
        reporter.rows(summary(job))
    return job


def _agree_on_folder(learner: Learner, run: RunDir) -> None:
    """Check that all processes have chosen the same folder, before any of them writes to it."""
    chosen = zlib.crc32(str(run.folder).encode()) >> 1
    if learner.agree(chosen) != chosen or learner.agree(-chosen) != -chosen:
        raise InputError(
            f"{run.folder}: another process of this run has chosen another folder; give all the same --output, on a "
            "file system that they share"
        )


def read_data(options: Options) -> Corpus:
    """Read the corpus that ``options`` name."""
    columns = ColumnFormat(options.data.word_column, options.data.tag_column, options.data.comment)
    return read_corpus(options.data.data, columns=columns, misaligned=options.data.misaligned)


def make_model_config(
    options: Options, corpus: Corpus, tokenizer: WordTokenizer | Vocabulary
) -> tuple[tuple[str, ...], ModelConfig]:
    """Return the labels of the logits, which are BIOES for a CRF, and the model."""
    labels = bioes_labels(corpus.labels) if options.model.head == "crf" else corpus.labels
    return labels, options.model.config(tokenizer.model_input(options.model.max_length), len(labels))


def run_vectors(run: RunDir, options: Options) -> WordVectors:
    """Open the vectors of words of a run that was started before: those of its best model, else of the user's file.

    Raises:
        InputError: neither exists, or it is damaged.
    """
    if (found := find_vectors(run.best)) is not None:
        return found
    assert options.data.vectors is not None
    if not (path := Path(options.data.vectors)).exists():
        raise InputError(
            f"{path}: is gone, and {run.best} has no copy of these vectors yet; put the file back to resume the run"
        )
    return read_vectors(path)


def make_tokenizer(options: Options, corpus: Corpus) -> WordTokenizer | Vocabulary:
    """Make the tokenizer that ``options`` name, trained on the train split or loaded; or the vocabulary of words.

    Raises:
        InputError: the tokenizer cannot be read, the model reads words and has no use for one, or the model reads word
            pieces and has no use for vectors of words.
    """
    if options.model.input == "words":
        if options.data.tokenizer != "train":
            raise InputError("--tokenizer is for models that read word pieces; leave it out, or choose --input pieces")
        return train_vocabulary(corpus.splits["train"], options.data.vocab_size)
    if options.data.vectors is not None:
        raise InputError("--vectors is for models that read words; leave it out, or choose --preset base")
    if options.data.tokenizer == "train":
        return train_tokenizer(corpus.splits["train"], options.data.vocab_size, bool(options.data.lower_case))
    return load_tokenizer(options.data.tokenizer, options.data.lower_case)
