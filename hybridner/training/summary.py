"""The summary of a run before it trains, for the person who started it."""

from collections.abc import Iterable

from hybridner.corpora.splits import shown_split
from hybridner.model.weights import num_parameters
from hybridner.training.job import TrainingJob


def summary(job: TrainingJob) -> list[tuple[str, str]]:
    """Describe a run in rows of a name and a text; with ``--verbose`` there are more of them."""
    corpus, work = job.corpus, job.work
    sizes = [f"{shown_split(n)} {r.sentences:,} sentences, {r.words:,} words" for n, r in corpus.reports.items()]
    rows = [
        ("data", f"{corpus.name}: {'; '.join(sizes)}"),
        (
            "labels",
            f"{len(corpus.labels)}: O, and B- and I- of {', '.join(label[2:] for label in corpus.labels[1::2])}",
        ),
        ("model", _model(job)),
        ("training", f"{work.total_steps:,} steps, {work.batches_per_epoch:,} an epoch; {_training(job)}"),
        ("device", f"{job.learner.device}, {job.learner.spread}, {job.options.devices.dtype}"),
        ("run", str(job.run.folder)),
    ]
    cut = [f"{split.num_windowed:,} of {shown_split(n)}" for n, split in job.encoded.items() if split.num_windowed]
    if cut:
        rows.insert(
            2, ("windows", f"sentences longer than {job.config.input.max_length:,} pieces are cut: {', '.join(cut)}")
        )
    return rows + (_details(job) if job.options.run.verbose else [])


def _details(job: TrainingJob) -> list[tuple[str, str]]:
    reports = job.corpus.reports
    by_scheme: dict[str, list[str]] = {}
    for name, report in reports.items():
        by_scheme.setdefault(report.scheme, []).append(shown_split(name))
    found = "; ".join(f"{scheme} in {_listed(names)}" for scheme, names in by_scheme.items())
    shapes, pieces = job.work.sampled_shapes()
    area = sum(shape.rows * shape.length * count for shape, count in shapes.items())
    common = [f"{rows} × {length}" for (rows, length), _ in shapes.most_common()]
    return [
        ("scheme", f"{found}; {sum(report.repairs for report in reports.values()):,} tags repaired"),
        ("batches", f"packed into rows × length of {_listed(common)}; {pieces / area:.0%} of that are pieces"),
        ("work", f"{job.work.pieces:,} pieces, {_flop(job.work.flops)}"),
    ]


def _model(job: TrainingJob) -> str:
    config, read = job.config, job.config.input
    reads = f"{read.vocab_size:,} word pieces" if read.kind == "pieces" else f"{read.num_words:,} words"
    lstm = "" if config.lstm is None else ", LSTM" if config.lstm.direction == "forward" else ", bidirectional LSTM"
    return (
        f"{num_parameters(config):,} parameters: {reads}, layers {config.encoder.num_layers}, "
        f"width {config.encoder.hidden_size}, heads {config.encoder.num_heads}"
        f"{lstm}{', CRF' if config.head.kind == 'crf' else ''}"
    )


def _training(job: TrainingJob) -> str:
    options = job.options.optimization
    parts = [
        f"batches of {options.batch_size} sentences",
        f"learning rate {options.learning_rate:g} ({options.schedule})",
        f"warm-up of {options.warmup_steps:,} steps" if options.warmup_steps else "",
        f"weight decay {options.weight_decay:g}",
        f"gradients clipped at {options.clip_norm:g}" if options.clip_norm is not None else "",
        f"each step in {job.options.devices.accumulate} parts" if job.options.devices.accumulate > 1 else "",
        f"weights averaged with {options.average:g}" if options.average is not None else "",
        f"dropout {job.config.dropout:g}",
        f"seed {options.seed}",
    ]
    return ", ".join(part for part in parts if part)


def _flop(count: float) -> str:
    unit, size = next((u, s) for u, s in (("P", 1e15), ("T", 1e12), ("G", 1e9)) if count >= s or u == "G")
    return f"{count / size:,.3g} {unit}FLOP"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
