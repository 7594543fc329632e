"""Report of a comparison, as text for the terminal and as an HTML page."""

from dataclasses import astuple

from hybridner.display.tables import WIDTH, Table
from hybridner.evaluation.bootstrap import Units
from hybridner.evaluation.compare import EXAMPLES, Comparison, Paired, RightBy
from hybridner.evaluation.report import Block, Sections, as_page, as_text, bars_by_type

_SHOWN_IN_TERMINAL = 5
_TITLES = {"only_a": "right in A only", "only_b": "right in B only", "neither": "right in neither"}


def comparison_text(comparison: Comparison, width: int = WIDTH) -> str:
    """Write the report for a terminal of ``width`` columns."""
    return as_text(*_report(comparison, _SHOWN_IN_TERMINAL), width)


def comparison_page(comparison: Comparison) -> str:
    """Write the report as one self-contained HTML page."""
    return as_page(*_report(comparison, EXAMPLES))


def _report(comparison: Comparison, shown: int) -> tuple[str, list[str], Sections]:
    about = [f"A: {comparison.a}", f"B: {comparison.b}", *comparison.notes]
    paired = comparison.paired
    a, b = ({kind: scores.by_type[kind] for kind in paired.right_by} for scores in (paired.a, paired.b))
    pictures = bars_by_type([("F1 of A", a, "f1"), ("F1 of B", b, "f1")])
    sections: Sections = {
        "scores of the tags that predict returns": [*_paired(paired, comparison.data.units), *pictures]
    }
    for who, verdicts in paired.verdicts.items():
        if verdicts:
            title = f"{_TITLES[who]}: {getattr(paired.right_by_in_all, who):,} entities, the most frequent"
            sections[title] = [[(str(one), one.example) for one in verdicts[:shown]]]
    return f"A against B on {comparison.data.title}", about, sections


def _paired(paired: Paired, units: Units) -> list[Block]:
    if not paired.words_tagged_differently:
        return [_table(paired), f"A and B tag all {paired.a.words:,} words alike."]
    difference = paired.difference
    low, high = difference.interval
    if low <= 0 <= high:
        meaning = "The interval includes 0: these data do not show which model is better."
    else:
        meaning = f"The interval excludes 0: on such data {'A' if low > 0 else 'B'} is better."
    found = (
        f"A less B: {difference.difference:+.4f} micro F1, 95 % interval {low:+.4f} to {high:+.4f} (paired bootstrap, "
        f"{units}). A is not better than B in {100 * difference.share_a_not_better:.1f} % of the resamples. {meaning} "
        "It is about other texts of this kind, not about other training seeds."
    )
    different = f"Words tagged differently: {paired.words_tagged_differently:,} of {paired.a.words:,}."
    return [_table(paired), found, different]


def _table(paired: Paired) -> Table:
    a, b = paired.a.by_type, paired.b.by_type
    rows = []
    for kind in sorted(a.keys() | b.keys()):
        f1_a, f1_b = (scores[kind].f1 if kind in scores else 0.0 for scores in (a, b))
        rows.append(_row(kind, f1_a, f1_b, paired.right_by.get(kind, RightBy())))
    return Table(
        ("", "F1 of A", "F1 of B", "A less B", "both right", "only A", "only B", "neither"),
        [*rows, _row("micro", paired.a.f1, paired.b.f1, paired.right_by_in_all)],
        optional=(4, 7, 5, 6),
    )


def _row(name: str, f1_a: float, f1_b: float, right: RightBy) -> tuple[str, ...]:
    return (name, f"{f1_a:.4f}", f"{f1_b:.4f}", f"{f1_a - f1_b:+.4f}", *(f"{count:,}" for count in astuple(right)))
