"""The report of a corpus check, for people."""

import textwrap
from collections.abc import Callable, Iterator

from hybridner.corpora.checks import FINDINGS, CorpusCheck, Lengths, SplitFacts, by_type
from hybridner.display.tables import WIDTH, Table

_NARROWEST = 24


def check_text(check: CorpusCheck, width: int = WIDTH) -> str:
    """Report sizes of the splits and all findings, in lines of at most ``width`` characters where words allow it."""
    width = max(width, _NARROWEST)
    table = _table(check.splits)
    if max(map(len, table.splitlines())) > width:
        table = "\n\n".join(_table({name: facts}) for name, facts in check.splits.items())
    notes = "\n".join(_wrapped(note, width) for note in check.notes)
    return "\n\n".join(filter(None, (table, notes, "\n".join(_findings(check, width)))))


def _table(splits: dict[str, SplitFacts]) -> str:
    def row(title: str, cell: Callable[[SplitFacts], str]) -> list[str]:
        return [title, *map(cell, splits.values())]

    rows = [
        row("scheme", lambda facts: facts.report.scheme),
        row("documents", lambda facts: f"{facts.report.documents:,}"),
        row("sentences", lambda facts: f"{facts.report.sentences:,}"),
        row("words", lambda facts: f"{facts.report.words:,}"),
        *_lengths("words", [facts.words_per_sentence for facts in splits.values()]),
        *_lengths("pieces", [facts.pieces_per_sentence for facts in splits.values()]),
        row("entities", lambda facts: f"{sum(facts.report.entities.values()):,}"),
        *([f"  {kind}", *(f"{count:,}" for count in counts.values())] for kind, counts in by_type(splits).items()),
    ]
    if any(facts.entities_in_train is not None for facts in splits.values()):
        shares = (facts.entities_in_train for facts in splits.values())
        rows.append(["  of them in train", *("" if share is None else f"{100 * share:.1f} %" for share in shares)])
    return Table(["", *splits], rows).text(10**6)


def _lengths(unit: str, lengths: list[Lengths | None]) -> Iterator[list[str]]:
    known = [one for one in lengths if one is not None]
    if known:
        yield [f"  {unit}, median", *(f"{one.median:,.0f}" for one in known)]
        yield ["  99th percentile", *(f"{one.p99:,.0f}" for one in known)]
        yield ["  longest", *(f"{one.longest:,}" for one in known)]


def _findings(check: CorpusCheck, width: int) -> Iterator[str]:
    if not check.findings:
        yield "no findings"
    for finding in check.findings:
        yield _wrapped(f"{finding.id} in {finding.split}: {finding.count:,} ({FINDINGS[finding.id]})", width)
        for example in finding.examples:
            yield _wrapped(example, width, "    ")


def _wrapped(text: str, width: int, indent: str = "") -> str:
    wrapper = textwrap.TextWrapper(width, indent, f"{indent}  ", break_on_hyphens=False, break_long_words=False)
    return wrapper.fill(text)
