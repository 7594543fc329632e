"""Report of an evaluation, as text for the terminal and as an HTML page."""

from typing import TYPE_CHECKING

from hybridner.display.plots import COLOURS, FIGURE_WIDTH, in_ink, new_figure
from hybridner.display.tables import WIDTH, Table
from hybridner.evaluation import analysis
from hybridner.evaluation.analysis import Confusion, Mistake, Seen
from hybridner.evaluation.calibration import Calibration
from hybridner.evaluation.evaluate import Evaluation, Result
from hybridner.evaluation.report import MOST_TYPES, Found, Picture, Section, as_page, as_text, bars_by_type

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_IN_TERMINAL = 10


def evaluation_text(evaluation: Evaluation, width: int = WIDTH) -> str:
    """Write the report for a terminal of ``width`` columns."""
    about = Section(f"{evaluation.data.title}, on {evaluation.setting.device}", _about(evaluation))
    return as_text([about, *_sections(evaluation, _SHOWN_IN_TERMINAL)], width)


def evaluation_page(evaluation: Evaluation) -> str:
    """Write the report as one self-contained HTML page."""
    title = f"Scores on {evaluation.data.title}"
    return as_page(title, [Section("", _about(evaluation)), *_sections(evaluation, analysis.MISTAKES)])


def _about(evaluation: Evaluation) -> list[str]:
    scores = evaluation.argmax.scores
    size = f"{scores.words:,} words, {scores.sentences:,} sentences"
    if evaluation.data.report.documents > 1:
        size += f", {evaluation.data.report.documents:,} documents"
    return [str(evaluation.setting), size, *evaluation.notes]


def _sections(evaluation: Evaluation, shown: int) -> list[Section]:
    headline = evaluation.argmax
    by_type, confusion, seen = headline.scores.by_type, headline.analysis.confusion, headline.analysis.seen
    pictures = bars_by_type(
        by_type,
        {
            "precision": lambda kind: by_type[kind].precision,
            "recall": lambda kind: by_type[kind].recall,
            "F1": lambda kind: by_type[kind].f1,
        },
    )
    sections = [
        Section("argmax of each word (the headline)", [*_scores(evaluation, headline), *pictures]),
        Section("decoded to valid sequences, as predict does", _scores(evaluation, evaluation.decoded)),
        Section("kinds of mistakes (argmax)", [_kinds(headline), _KINDS]),
        Section("types on the same words (argmax), gold by predicted", [_confusion(confusion), _SAME]),
    ]
    if seen is not None:
        about = (
            f"Seen: {evaluation.data.train_name} has an entity of the same words, case kept, and the same type. The "
            "share is recall for gold entities, precision for predicted ones."
        )
        sections.append(Section("entities seen and unseen in train (argmax)", [_seen(seen), about]))
    if mistakes := headline.analysis.mistakes[:shown]:
        different = headline.analysis.num_different
        title = f"most frequent mistakes (argmax), {len(mistakes)} of {different:,} different ones"
        sections.append(Section(title, [[Found(_mistake(mistake), mistake.example) for mistake in mistakes]]))
    sections.append(_calibration(evaluation.calibration))
    return sections


def _scores(evaluation: Evaluation, result: Result) -> list[str | Table]:
    low, high = result.f1_interval
    interval = f"F1 {result.scores.f1:.4f}, 95 % interval {low:.4f} to {high:.4f} (bootstrap, {evaluation.data.units})"
    return [result.scores.as_table(), interval, result.scores.summary()]


_KINDS = (
    "type: the same words, another type. boundary: other words that overlap, the same type. missed, spurious: not "
    "paired. Every gold and every predicted entity counts in exactly one row."
)
_SAME = (
    "This table pairs only entities on exactly the same words, so an entity with a wrong boundary counts as missed and "
    "as spurious."
)


def _kinds(result: Result) -> Table:
    rows = [
        (kind, "" if kind == analysis.SPURIOUS else f"{count:,}", "" if kind == analysis.MISSED else f"{count:,}")
        for kind, count in result.analysis.kinds.items()
    ]
    total = ("in all", f"{result.scores.gold:,}", f"{result.scores.predicted:,}")
    return Table(("", "gold", "predicted"), [*rows, total])


def _confusion(confusion: Confusion) -> Table:
    types = confusion.types
    rows = [
        (kind, *(f"{n:,}" for n in (*confusion.same_words[i], confusion.missed[i], confusion.spurious[i])))
        for i, kind in enumerate(types)
    ]
    cells = [
        (confusion.same_words[i][j], f"{a} → {b}") for i, a in enumerate(types) for j, b in enumerate(types) if i != j
    ]
    cells += [(n, f"{kind} → missed") for kind, n in zip(types, confusion.missed, strict=True)]
    cells += [(n, f"spurious → {kind}") for kind, n in zip(types, confusion.spurious, strict=True)]
    frequent = sorted(cells, key=lambda cell: -cell[0])[: analysis.MISTAKES]
    pairs = Table(("gold → predicted", "entities"), [(name, f"{n:,}") for n, name in frequent if n])
    return pairs if len(types) > MOST_TYPES else Table(("", *types, "missed", "spurious"), rows, narrow=pairs)


def _seen(seen: Seen) -> Table:
    shares = {
        "gold, seen": seen.gold_seen,
        "gold, unseen": seen.gold_unseen,
        "predicted, seen": seen.predicted_seen,
        "predicted, unseen": seen.predicted_unseen,
    }
    rows = [(name, f"{s.total:,}", f"{s.correct:,}", _share(s.value)) for name, s in shares.items()]
    return Table(("", "entities", "correct", "share"), rows, optional=(2,))


def _mistake(mistake: Mistake) -> str:
    gold, predicted = mistake.gold, mistake.predicted
    if gold and predicted and gold.text == predicted.text:
        change = f"{gold.text}: {gold.type} → {predicted.type}"
    else:
        change = f"{gold or 'nothing'} → {predicted or 'nothing'}"
    return f"{mistake.count:,} × {change} ({mistake.kind})"


def _calibration(calibration: Calibration) -> Section:
    title = "calibration of entity scores (decoded)"
    if calibration.ece is None:
        return Section(title, ["No entity was predicted."])
    error = (
        f"Expected calibration error {calibration.ece:.4f} ({len(calibration.bins)} bins of equal width) over "
        f"{calibration.count:,} predicted entities: mean score {_share(calibration.mean_score)}, right "
        f"{_share(calibration.right)}."
    )
    rows = [
        (f"{b.low:.1f} to {b.high:.1f}", f"{b.count:,}", _share(b.mean_score), _share(b.right))
        for b in calibration.bins
        if b.count
    ]
    picture = Picture(
        lambda ink: reliability_diagram(calibration, ink),
        "share of right entities in each bin of scores, and the line of perfect calibration",
    )
    return Section(title, [error, picture, Table(("score", "entities", "mean score", "right"), rows)])


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def reliability_diagram(calibration: Calibration, ink: str) -> "Figure":
    """Draw the share of right entities and the number of entities by score, lines and letters in the colour ``ink``."""
    figure = new_figure((FIGURE_WIDTH, 4.0))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [b for b in calibration.bins if b.count]
    width = 0.92 / len(calibration.bins)
    middles = [(b.low + b.high) / 2 for b in filled]
    right = [b.right or 0.0 for b in filled]
    upper.bar(middles, right, width, color=COLOURS[0], label="right")
    upper.plot([b.mean_score or 0.0 for b in filled], right, "o", color=COLOURS[1], label="mean score")
    upper.plot([0, 1], [0, 1], linestyle=":", color=ink, label="perfect calibration")
    upper.set(ylabel="share of right entities", ylim=(0, 1), xlim=(0, 1))
    lower.bar(middles, [b.count for b in filled], width, color=COLOURS[0])
    lower.set(xlabel="score", ylabel="entities", yscale="log")
    for axes in (upper, lower):
        in_ink(axes, ink)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, labelcolor=ink)
    return figure
