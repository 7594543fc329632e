"""Report of an evaluation, as text for the terminal and as an HTML page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridner.display.plots import COLOURS, FIGURE_WIDTH, bars, in_ink, new_figure
from hybridner.display.tables import WIDTH, Table
from hybridner.evaluation import analysis
from hybridner.evaluation.analysis import Confusion, Mention, Mistake, Seen, Share
from hybridner.evaluation.calibration import Calibration
from hybridner.evaluation.evaluate import Evaluation, Result
from hybridner.evaluation.report import Found, Picture, Section, as_page, as_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_IN_TERMINAL = 10
_MOST_TYPES = 30  # in a picture, and in a square table


def evaluation_text(evaluation: Evaluation, width: int = WIDTH) -> str:
    """Write the report for a terminal of ``width`` columns."""
    about = Section(f"{evaluation.data.title}, on {evaluation.setting.device}", _about(evaluation))
    return as_text([about, *_sections(evaluation, _SHOWN_IN_TERMINAL)], width)


def evaluation_page(evaluation: Evaluation) -> str:
    """Write the report as one self-contained HTML page."""
    title = f"Scores on {evaluation.data.title}"
    return as_page(title, [Section("", _about(evaluation)), *_sections(evaluation, analysis.MISTAKES)])


def _about(evaluation: Evaluation) -> list[str]:
    scores, windowed = evaluation.argmax.scores, evaluation.num_windowed
    size = f"{scores.words:,} words, {scores.sentences:,} sentences"
    if evaluation.data.report.documents > 1:
        size += f", {evaluation.data.report.documents:,} documents"
    notes = [f"sentences longer than the model takes, cut into windows: {windowed:,}"] if windowed else []
    return [str(evaluation.setting), size, *evaluation.notes, *notes]


def _sections(evaluation: Evaluation, shown: int) -> list[Section]:
    headline = evaluation.argmax
    confusion, mistakes = headline.analysis.confusion, headline.analysis.mistakes[:shown]
    sections = [
        Section("argmax of each word (the headline)", [*_scores(evaluation, headline), *_by_type(headline)]),
        Section("decoded to valid sequences, as predict does", _scores(evaluation, evaluation.decoded)),
        Section("kinds of mistakes (argmax)", [_kinds(headline), _KINDS]),
        Section("types on the same words (argmax), gold by predicted", [_confusion(confusion), _SAME]),
    ]
    seen = headline.analysis.seen
    if seen is not None:
        about = (
            f"Seen: {evaluation.data.train_name} has an entity of the same words, case kept, and the same type. The "
            "share is recall for gold entities, precision for predicted ones."
        )
        sections.append(Section("entities seen and unseen in train (argmax)", [_seen(seen), about]))
    if mistakes:
        different = headline.analysis.num_different
        title = f"most frequent mistakes (argmax), {len(mistakes)} of {different:,} different ones"
        sections.append(Section(title, [[Found(_said(mistake), mistake.example) for mistake in mistakes]]))
    sections.append(_calibration(evaluation.calibration))
    return sections


def _scores(evaluation: Evaluation, result: Result) -> list[str | Table]:
    low, high = result.f1_interval
    interval = f"F1 {result.scores.f1:.4f}, 95 % interval {low:.4f} to {high:.4f} (bootstrap, {evaluation.data.units})"
    return [result.scores.as_table(), interval, result.scores.summary()]


def _by_type(result: Result) -> list[Picture]:
    frequent = sorted(result.scores.by_type.items(), key=lambda item: -item[1].gold)[:_MOST_TYPES]
    if not frequent:
        return []
    by_type = dict(sorted(frequent))
    series = {
        "precision": [one.precision for one in by_type.values()],
        "recall": [one.recall for one in by_type.values()],
        "F1": [one.f1 for one in by_type.values()],
    }
    about = "bar chart of precision, recall and F1 for the most frequent types"
    return [Picture(lambda ink: bars(list(by_type), series, ink), about)]


_KINDS = (
    "type: the same words, another type. boundary: other words that overlap, the same type. missed, spurious: not "
    "paired. Every gold and every predicted entity counts in exactly one row."
)
_SAME = (
    "This table pairs only entities on exactly the same words, so an entity with a wrong boundary counts as missed and "
    "as spurious."
)


def _kinds(result: Result) -> Table:
    kinds = result.analysis.kinds
    rows = [
        (
            kind,
            "" if kind == analysis.SPURIOUS else f"{count:,}",
            "" if kind == analysis.MISSED else f"{count:,}",
        )
        for kind, count in kinds.items()
    ]
    return Table(
        ("", "gold", "predicted"), [*rows, ("in all", f"{result.scores.gold:,}", f"{result.scores.predicted:,}")]
    )


def _confusion(confusion: Confusion) -> Table:
    types = confusion.types
    rows = [
        (kind, *(f"{n:,}" for n in (*confusion.same_words[i], confusion.missed[i], confusion.spurious[i])))
        for i, kind in enumerate(types)
    ]
    cells = [
        (confusion.same_words[i][j], f"{a} → {b}") for i, a in enumerate(types) for j, b in enumerate(types) if i != j
    ]
    ends = [(n, f"{kind} → missed") for kind, n in zip(types, confusion.missed, strict=True)]
    ends += [(n, f"spurious → {kind}") for kind, n in zip(types, confusion.spurious, strict=True)]
    frequent = sorted((cell for cell in [*cells, *ends] if cell[0]), key=lambda cell: -cell[0])[: analysis.MISTAKES]
    pairs = Table(("gold → predicted", "entities"), [(name, f"{n:,}") for n, name in frequent])
    return pairs if len(types) > _MOST_TYPES else Table(("", *types, "missed", "spurious"), rows, narrow=pairs)


def _seen(seen: Seen) -> Table:
    rows: Sequence[tuple[str, Share]] = [
        ("gold, seen", seen.gold_seen),
        ("gold, unseen", seen.gold_unseen),
        ("predicted, seen", seen.predicted_seen),
        ("predicted, unseen", seen.predicted_unseen),
    ]
    return Table(
        ("", "entities", "correct", "share"),
        [(name, f"{s.total:,}", f"{s.correct:,}", _share(s.value)) for name, s in rows],
        optional=(2,),
    )


def _said(mistake: Mistake) -> str:
    gold, predicted = mistake.gold, mistake.predicted
    if gold is not None and predicted is not None and gold.text == predicted.text:
        what = f"{gold.text}: {gold.type} → {predicted.type}"
    else:
        what = f"{_mention(gold)} → {_mention(predicted)}"
    return f"{mistake.count:,} × {what} ({mistake.kind})"


def _mention(one: Mention | None) -> str:
    return "nothing" if one is None else f"{one.type} {one.text}"


def _calibration(calibration: Calibration) -> Section:
    title = "scores of entities against whether they are right (decoded)"
    if calibration.ece is None:
        return Section(title, ["No entity was predicted."])
    said = (
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
        "share of right entities in each bin of scores, beside the line of perfect calibration",
    )
    return Section(title, [said, picture, Table(("score", "entities", "mean score", "right"), rows)])


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def reliability_diagram(calibration: Calibration, ink: str) -> "Figure":
    """Draw the share of right entities and the number of entities by score, on a transparent background.

    Args:
        calibration: of the entity scores.
        ink: colour of lines and letters.
    """
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
