"""Report of an evaluation, as text for the terminal and as an HTML page."""

from dataclasses import astuple
from typing import TYPE_CHECKING

from hybridner.display.plots import COLOURS, FIGURE_WIDTH, in_ink, new_figure
from hybridner.display.tables import WIDTH, Table
from hybridner.evaluation import analysis
from hybridner.evaluation.analysis import Confusion, Share
from hybridner.evaluation.calibration import Calibration
from hybridner.evaluation.evaluate import Evaluation
from hybridner.evaluation.report import MOST_TYPES, Block, Picture, Sections, as_page, as_text, bars_by_type

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_IN_TERMINAL = 10


def evaluation_text(evaluation: Evaluation, width: int = WIDTH) -> str:
    """Write the report for a terminal of ``width`` columns."""
    title = f"{evaluation.data.title}, on {evaluation.setting.device}"
    return as_text(title, *_report(evaluation, _SHOWN_IN_TERMINAL), width)


def evaluation_page(evaluation: Evaluation) -> str:
    """Write the report as one self-contained HTML page."""
    return as_page(f"Scores on {evaluation.data.title}", *_report(evaluation, analysis.MISTAKES))


def _report(evaluation: Evaluation, shown: int) -> tuple[list[str], Sections]:
    scores, found = evaluation.scores, evaluation.analysis
    about = [str(evaluation.setting), f"{scores.words:,} words, {scores.sentences:,} sentences", *evaluation.notes]
    if evaluation.data.report.documents > 1:
        about[1] += f", {evaluation.data.report.documents:,} documents"
    pictures = bars_by_type([(name, scores.by_type, name.lower()) for name in ("precision", "recall", "F1")])
    sections: Sections = {
        "scores of the tags that predict returns": [*_scores(evaluation), *pictures],
        "kinds of mistakes": _kinds(evaluation),
        "types on the same words, gold by predicted": _confusion(found.confusion),
    }
    if found.seen is not None:
        sections["entities seen and unseen in train"] = _seen(found.seen, evaluation.data.train_name)
    if mistakes := [(str(one), one.example) for one in found.mistakes[:shown]]:
        title = f"most frequent mistakes, {len(mistakes)} of {found.num_different:,} different ones"
        sections[title] = [mistakes]
    sections["calibration of entity scores"] = _calibration(evaluation.calibration)
    return about, sections


def _scores(evaluation: Evaluation) -> list[str | Table]:
    scores, argmax, (low, high) = evaluation.scores, evaluation.argmax, evaluation.f1_interval
    interval = f"F1 {scores.f1:.4f}, 95 % interval {low:.4f} to {high:.4f} (bootstrap, {evaluation.data.units})"
    blocks: list[str | Table] = [scores.as_table(), interval, scores.summary()]
    if argmax is not None:
        blocks.append(
            f"argmax, as the original scores: F1 {argmax.f1:.4f} (P {argmax.precision:.4f}, R {argmax.recall:.4f}), "
            f"{argmax.invalid_transitions:,} invalid transitions, strict F1 {argmax.strict_f1:.4f}"
        )
    return blocks


def _kinds(evaluation: Evaluation) -> list[Block]:
    rows = [
        (kind, "" if kind == analysis.SPURIOUS else f"{count:,}", "" if kind == analysis.MISSED else f"{count:,}")
        for kind, count in evaluation.analysis.kinds.items()
    ]
    total = ("in all", f"{evaluation.scores.gold:,}", f"{evaluation.scores.predicted:,}")
    meaning = (
        "type: the same words, another type. boundary: other words that overlap, the same type. missed, spurious: not "
        "paired. Every gold and every predicted entity counts in exactly one row."
    )
    return [Table(("", "gold", "predicted"), [*rows, total]), meaning]


def _confusion(confusion: Confusion) -> list[Block]:
    types, same, missed, spurious = astuple(confusion)
    cells = [(same[i][j], f"{a} → {b}") for i, a in enumerate(types) for j, b in enumerate(types) if i != j]
    cells += [(count, f"{kind} → missed") for kind, count in zip(types, missed, strict=True)]
    cells += [(count, f"spurious → {kind}") for kind, count in zip(types, spurious, strict=True)]
    frequent = sorted(cells, key=lambda cell: -cell[0])[: analysis.MISTAKES]
    table = Table(("gold → predicted", "entities"), [(name, f"{count:,}") for count, name in frequent if count])
    if len(types) <= MOST_TYPES:
        columns = zip(types, same, missed, spurious, strict=True)
        rows = [(kind, *(f"{count:,}" for count in (*counts, *others))) for kind, counts, *others in columns]
        table = Table(("", *types, "missed", "spurious"), rows, narrow=table)
    meaning = (
        "This table pairs only entities on exactly the same words, so an entity with a wrong boundary counts as missed "
        "and as spurious."
    )
    return [table, meaning]


def _seen(seen: dict[str, Share], train: str | None) -> list[Block]:
    rows = [(name.replace("_", ", "), f"{s.total:,}", f"{s.correct:,}", _share(s.value)) for name, s in seen.items()]
    meaning = (
        f"Seen: {train} has an entity of the same words, case kept, and the same type. The share is recall for gold "
        "entities, precision for predicted ones."
    )
    return [Table(("", "entities", "correct", "share"), rows, optional=(2,)), meaning]


def _calibration(calibration: Calibration) -> list[Block]:
    if calibration.ece is None:
        return ["No entity was predicted."]
    error = (
        f"Expected calibration error {calibration.ece:.4f} ({len(calibration.bins)} bins of equal width) over "
        f"{calibration.count:,} predicted entities: mean score {_share(calibration.mean_score)}, right "
        f"{_share(calibration.right)}."
    )
    about = "share of right entities in each bin of scores, and the line of perfect calibration"
    rows = [
        (f"{b.low:.1f} to {b.high:.1f}", f"{b.count:,}", _share(b.mean_score), _share(b.right))
        for b in calibration.bins
        if b.count
    ]
    table = Table(("score", "entities", "mean score", "right"), rows)
    return [error, Picture(lambda ink: _reliability_diagram(calibration, ink), about), table]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _reliability_diagram(calibration: Calibration, ink: str) -> "Figure":
    """Draw the share of right entities and the number of entities by score."""
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
