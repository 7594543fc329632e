"""The report of a corpus check, for people."""

import textwrap
from collections.abc import Callable, Iterator

from hybridner.corpora.checks import FINDINGS, CorpusCheck, Lengths, SplitFacts, by_type
from hybridner.display.tables import WIDTH, Table

_NARROWEST = 24


def check_text(check: CorpusCheck, width: int = WIDTH) -> str:
    """Sizes of the splits and all findings, in lines of at most ``width`` characters where words allow it."""
    width = max(width, _NARROWEST)
    names = list(check.splits)
    table = _table(check.splits, names)
    if max(map(len, table.splitlines())) > width:
        table = "\n\n".join(_table(check.splits, [name]) for name in names)
    parts = [table]
    if check.notes:
        parts.append("\n".join(_wrapped(note, width) for note in check.notes))
    parts.append("\n".join(_findings(check, width)))
    return "\n\n".join(parts)


def _table(splits: dict[str, SplitFacts], names: list[str]) -> str:
    def row(title: str, cell: Callable[[SplitFacts], str]) -> list[str]:
        return [title, *(cell(splits[name]) for name in names)]

    rows = [
        row("scheme", lambda facts: facts.report.scheme),
        row("documents", lambda facts: f"{facts.report.documents:,}"),
        row("sentences", lambda facts: f"{facts.report.sentences:,}"),
        row("words", lambda facts: f"{facts.report.words:,}"),
        *_lengths("words", [splits[name].words_per_sentence for name in names]),
        *_lengths("pieces", [splits[name].pieces_per_sentence for name in names]),
        row("entities", lambda facts: f"{sum(facts.report.entities.values()):,}"),
        *([f"  {kind}", *(f"{counts[name]:,}" for name in names)] for kind, counts in by_type(splits).items()),
    ]
    if any(splits[name].entities_in_train is not None for name in names):
        rows.append(row("  of them in train", lambda facts: _share(facts.entities_in_train)))
    return Table(["", *names], rows).text(10**6)


def _lengths(unit: str, lengths: list[Lengths | None]) -> Iterator[list[str]]:
    known = [one for one in lengths if one is not None]
    if known:
        yield [f"  {unit}, median", *(f"{one.median:,.0f}" for one in known)]
        yield ["  99th percentile", *(f"{one.p99:,.0f}" for one in known)]
        yield ["  longest", *(f"{one.longest:,}" for one in known)]


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _findings(check: CorpusCheck, width: int) -> Iterator[str]:
    if not check.findings:
        yield "no findings"
    for finding in check.findings:
        yield _wrapped(f"{finding.id} in {finding.split}: {finding.count:,} ({FINDINGS[finding.id]})", width)
        for example in finding.examples:
            yield _wrapped(example, width, "    ")


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
