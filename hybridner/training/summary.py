"""The summary of a run before it trains, for the person who started it."""

from hybridner.corpora.splits import shown_split
from hybridner.model.weights import num_parameters
from hybridner.training.job import TrainingJob


def summary(job: TrainingJob) -> list[tuple[str, str]]:
    """Describe a run in rows of a name and a text; ``--verbose`` adds more rows."""
    corpus, work, longest = job.corpus, job.work, job.config.input.max_length
    sizes = [f"{shown_split(n)} {r.sentences:,} sentences, {r.words:,} words" for n, r in corpus.reports.items()]
    types = ", ".join(label[2:] for label in corpus.labels[1::2])
    cut = [f"{split.num_windowed:,} of {shown_split(n)}" for n, split in job.encoded.items() if split.num_windowed]
    return [
        ("data", f"{corpus.name}: {'; '.join(sizes)}"),
        ("labels", f"{len(corpus.labels)}: O, and B- and I- of {types}"),
        *([("windows", f"sentences longer than {longest:,} pieces are cut: {', '.join(cut)}")] if cut else []),
        *_vectors(job),
        ("model", _model(job)),
        ("training", f"{work.total_steps:,} steps, {work.batches_per_epoch:,} an epoch; {_training(job)}"),
        ("device", f"{job.learner.device}, {job.learner.spread}, {job.options.devices.dtype}"),
        ("run", str(job.run.folder)),
        *(_details(job) if job.options.run.verbose else []),
    ]


def _details(job: TrainingJob) -> list[tuple[str, str]]:
    reports = job.corpus.reports
    schemes = ", ".join(f"{shown_split(name)} {report.scheme}" for name, report in reports.items())
    shapes, pieces = job.work.sampled_shapes()
    area = sum(shape.rows * shape.length * count for shape, count in shapes.items())
    common = ", ".join(f"{rows} × {length}" for (rows, length), _ in shapes.most_common())
    return [
        ("scheme", f"{schemes}; {sum(report.repairs for report in reports.values()):,} tags repaired"),
        ("batches", f"packed into rows × length of {common}; {pieces / area:.0%} of that are pieces"),
        ("work", f"{job.work.pieces:,} pieces, {job.work.flops / 1e9:,.0f} GFLOP"),
    ]


def _vectors(job: TrainingJob) -> list[tuple[str, str]]:
    types = job.encoded["train"].types
    if types is None or types.vectors is None or types.vector_rows is None:
        return []
    found = (types.vector_rows[job.encoded["train"].input_ids] >= 0).mean()
    size = f"{len(types.vectors.index.hashes):,} words, {types.vectors.size} numbers each"
    return [("vectors", f"{job.options.data.vectors}: {size}; {found:.1%} of the words of train have one")]


def _model(job: TrainingJob) -> str:
    config, read, encoder = job.config, job.config.input, job.config.encoder
    parts = [
        f"{read.vocab_size:,} word pieces" if read.kind == "pieces" else f"{read.num_words:,} words",
        f"layers {encoder.num_layers}, width {encoder.hidden_size}, heads {encoder.num_heads}",
        "" if config.lstm is None else "LSTM" if config.lstm.direction == "forward" else "bidirectional LSTM",
        "CRF" if config.head.kind == "crf" else "",
    ]
    return f"{num_parameters(config):,} parameters: {', '.join(filter(None, parts))}"


def _training(job: TrainingJob) -> str:
    options, accumulate = job.options.optimization, job.options.devices.accumulate
    parts = [
        f"batches of {options.batch_size} sentences",
        f"learning rate {options.learning_rate:g} ({options.schedule})",
        f"warm-up of {options.warmup_steps:,} steps" if options.warmup_steps else "",
        f"weight decay {options.weight_decay:g}",
        f"gradients clipped at {options.clip_norm:g}" if options.clip_norm is not None else "",
        f"each step in {accumulate} parts" if accumulate > 1 else "",
        f"weights averaged with {options.average:g}" if options.average is not None else "",
        f"dropout {job.config.dropout:g}",
        f"seed {options.seed}",
    ]
    return ", ".join(filter(None, parts))
