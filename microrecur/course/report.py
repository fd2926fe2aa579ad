"""The report on a class: a table for a spreadsheet, a page by misconception, JUnit XML."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from microrecur.course.diagnose import FAILED, PASSED, UNTOUCHED, Verdict
from microrecur.files import write_whole

if TYPE_CHECKING:
    from microrecur.course.grade import Report

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
_COLOUR = {PASSED: "#DCFCE7", FAILED: "#FEE2E2", UNTOUCHED: "#F3F4F6"}


def plain(text: str) -> str:
    """Text on one line, without what moves a cursor, a page or a parser."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()


def cell(text: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    told = plain(str(text))
    return f"'{told}" if told.startswith(_FORMULA) else told


def _word(verdict: Verdict) -> str:
    if verdict.status != FAILED:
        return verdict.status
    return f"failed: {verdict.slip or verdict.stage}"


def write_csv(report: Report, file: str | Path) -> Path:
    """One row per person: how many are right, then every exercise."""
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    table.writerow(["who", "passed", *report.exercises, "notes"])
    for who in sorted(report.people):
        words = [cell(_word(report.of(who, name))) for name in report.exercises]
        notes = cell("; ".join(report.people[who].notes))
        table.writerow([cell(who), report.passed(who), *words, notes])
    return write_whole(file, held.getvalue())


def write_html(report: Report, file: str | Path) -> Path:
    """A page: what was misunderstood, by how many, and the table."""
    people = sorted(report.people)
    many = len(people)
    slips = "".join(
        f"<li><b>{count} of {many}</b>: {_e(slip)} <code>{_e(name)}</code></li>"
        for count, name, slip in report.misconceptions()
    )
    heads = "".join(f"<th><span>{_e(name)}</span></th>" for name in report.exercises)
    totals = "".join(
        f"<td>{sum(report.of(who, name).status == PASSED for who in people)}</td>"
        for name in report.exercises
    )
    rows = "".join(_row(report, who) for who in people)
    notes = "".join(
        f"<li>{_e(who)}: {_e(note)}</li>" for who in people for note in report.people[who].notes
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>microrecur: class report</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #16181D }}
table {{ border-collapse: collapse }} td, th {{ padding: 2px 8px; border: 1px solid #E5E7EB }}
th span {{ writing-mode: vertical-rl }} td {{ text-align: center }} td.who {{ text-align: left }}
</style></head><body>
<h1>Class report</h1>
<p>{many} submissions, {len(report.exercises)} exercises, seed {report.seed}</p>
<h2>What was misunderstood</h2><ul>{slips or "<li>no known slip</li>"}</ul>
<h2>Who has what</h2>
<table><tr><th>who</th><th>passed</th>{heads}</tr>
<tr><td class="who">all {many}</td><td></td>{totals}</tr>{rows}</table>
<h2>Notes</h2><ul>{notes or "<li>none</li>"}</ul>
</body></html>
"""
    return write_whole(file, page)


def _row(report: Report, who: str) -> str:
    cells = []
    for name in report.exercises:
        verdict = report.of(who, name)
        mark = {PASSED: "✓", FAILED: "✗"}.get(verdict.status, "·")
        told = f"{_word(verdict)}: {verdict.sentence}" if verdict.status == FAILED else ""
        colour = _COLOUR[verdict.status]
        cells.append(f'<td style="background:{colour}" title="{_e(told)}">{mark}</td>')
    count = f"{report.passed(who)}/{len(report.exercises)}"
    return f'<tr><td class="who">{_e(who)}</td><td>{count}</td>{"".join(cells)}</tr>'


def _e(text: str) -> str:
    return html.escape(plain(text))


def write_junit(report: Report, file: str | Path) -> Path:
    """One test suite per person, one test case per exercise."""
    root = ElementTree.Element("testsuites")
    for who in sorted(report.people):
        verdicts = [report.of(who, name) for name in report.exercises]
        counts = {s: sum(v.status == s for v in verdicts) for s in (FAILED, UNTOUCHED)}
        suite = ElementTree.SubElement(
            root, "testsuite", name=_x(who), tests=str(len(verdicts)),
            failures=str(counts[FAILED]), skipped=str(counts[UNTOUCHED]),
        )  # fmt: skip
        for verdict in verdicts:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_x(who), name=verdict.name, time=f"{verdict.seconds}"
            )
            if verdict.status == FAILED:
                failure = ElementTree.SubElement(case, "failure", message=_x(verdict.sentence))
                failure.text = _x(_word(verdict))
            elif verdict.status == UNTOUCHED:
                ElementTree.SubElement(case, "skipped", message=UNTOUCHED)
    return write_whole(file, ElementTree.tostring(root, encoding="unicode", xml_declaration=True))


def _x(text: str) -> str:
    """Text that XML can hold."""
    return "".join(c for c in plain(text) if c <= "\ud7ff" or "\ue000" <= c <= "\ufffd")
