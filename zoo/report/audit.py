"""What an audit found: tables for the terminal, and a report as one HTML file with the worst pairs as pictures."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from rich.table import Column, Table
from rich.text import Text

from zoo import __version__
from zoo.auditing.findings import Finding
from zoo.auditing.run import Audit
from zoo.auditing.shortcuts import STRONG, WEAK
from zoo.data.groups import EYE_GROUPS
from zoo.errors import ConfigError, printable
from zoo.files import write_text
from zoo.report import audit_sheet
from zoo.report.audit_sheet import shorten_path
from zoo.report.screen import sentences

STYLES = {"error": "bold red", "warning": "bold", "note": ""}  # read on light and dark alike
ROWS_SHOWN = 50

# Findings that other folds would mend.
SPLIT_MENDS = frozenset({"copies-across-roles", "groups-across-roles", "loose-copies", "missing-class", "uneven-folds"})


def findings(audit: Audit) -> Table:
    """A row per finding, errors first: what, how many cases, and one of them."""
    title = f"Findings: {headline(audit)}"
    columns: list[str | Column] = ["severity", sentences("what"), "cases", sentences("example")]
    table = Table(*columns, title=title, title_justify="left", show_lines=True)
    for finding in audit.findings:
        cells = [Text(finding.severity, STYLES[finding.severity]), Text(printable(finding.text))]
        cases = f"{len(finding.rows):,}" if finding.severity != "note" and len(finding.rows) else ""
        table.add_row(*cells, cases, Text(printable(_example(finding))))
    return table


def shortcuts(audit: Audit) -> Table:
    """The shortcut baseline: the AUC of each feature, overall and by source."""
    headings: list[str | Column] = ["images", "feature", "AUC", "95 % interval", sentences("typical, by class")]
    title = "Shortcut baseline: the label guessed without looking at the picture (0.5 is chance)"
    table = Table(*headings, title=title, title_justify="left")
    for row in _shortcut_rows(audit):
        style = STYLES.get(row["level"], "")
        table.add_row(
            Text(row["images"]), row["feature"], Text(row["auc"], style), row["interval"], Text(row["remark"])
        )
    return table


def headline(audit: Audit) -> str:
    """How much is wrong, in a few words."""
    counts = audit.counts
    said = [f"{counts[f'{level}s']} {level}{'s' * (counts[f'{level}s'] != 1)}" for level in ("error", "warning")]
    return ", ".join(said) if any(counts[f"{level}s"] for level in ("error", "warning")) else "nothing is wrong"


def names_tell_patients(audit: Audit) -> bool:
    """Whether names of files look like left and right eyes, and no groups are given."""
    return any(EYE_GROUPS in finding.advice for finding in audit.findings)


def split_would_help(audit: Audit) -> bool:
    """Whether dividing the images anew mends some of what is wrong."""
    return any(finding.kind in SPLIT_MENDS for finding in audit.findings)


def write_report(audit: Audit, out: Path) -> list[Path]:
    """audit.html, pairs.png if there are pairs, duplicates.csv and audit.json in `out`; their paths.

    Raises ConfigError if `out` cannot be written.
    """
    audit.write(out)
    sheet, page = out / "pairs.png", out / "audit.html"
    try:
        drawn = audit_sheet.draw(audit, sheet)
        if not drawn:
            sheet.unlink(missing_ok=True)  # of an earlier audit
        write_text(page, html(audit, sheet if drawn else None))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}; name another folder with --out DIR") from error
    return [page, *([sheet] if drawn else []), out / "duplicates.csv", out / "audit.json"]


def html(audit: Audit, sheet: Path | None) -> str:
    """The report as one HTML page that needs no other file; whatever stands in names of files is escaped."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("zoo", "report"), autoescape=True)
    environment.filters["cell"] = _cell
    picture = base64.b64encode(sheet.read_bytes()).decode() if sheet else None
    return environment.get_template("audit.html").render(
        audit=audit,
        headline=headline(audit),
        counts=audit.counts,
        request=audit.request,
        sheet=picture,
        findings=[(finding, _shown(finding.rows)) for finding in audit.findings],
        most=ROWS_SHOWN,
        strong=STRONG,
        shortcuts=_shortcut_rows(audit),
        balance=audit.balance.reset_index(),
        weak=WEAK,
        folds=audit.folds.reset_index(),
        version=__version__,
    )


def _shortcut_rows(audit: Audit) -> list[dict[str, str]]:
    rows = []
    for row in audit.shortcuts.to_dict("records"):
        known = not pd.isna(row["auc"])
        rows.append(
            {
                "images": f"{row['scope']} ({row['images']:,})",
                "feature": row["feature"],
                "auc": f"{row['auc']:.2f}" if known else "–",
                "interval": f"{row['low']:.2f} to {row['high']:.2f}" if known else "–",
                "remark": printable(row["remark"]),
                "level": "error" if row["low"] > STRONG else "warning" if row["low"] > WEAK else "",
            }
        )
    return rows


def _example(finding: Finding) -> str:
    """One case in a line."""
    if finding.rows.empty:
        return ""
    row = finding.rows.iloc[0]
    if "first_path" in row:
        return f"{shorten_path(row['first_path'])} = {shorten_path(row['second_path'])} ({row['change']})"
    if "fault" in row:
        return f"{shorten_path(row['path'])}: {row['fault']}"
    if "examples" in row:
        return f"fold {row['fold']}, {row['group']}: {', '.join(map(shorten_path, row['examples'][:2]))}"
    if finding.kind in ("missing-class", "uneven-folds", "source-tells-label", "uneven-sources"):
        return ", ".join(f"{name} {value}" for name, value in row.items())
    if "feature" in row:
        return f"{row['feature']}: {row['remark']}" if row["remark"] else ""
    return shorten_path(row["path"]) if "path" in row else ""


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The first rows as a reader wants them: pairs in few columns, without those that say nothing."""
    table = rows.head(ROWS_SHOWN)
    if "first_path" not in table:
        return table
    both = {
        f"{what}s": table[f"first_{what}"].where(
            table[f"first_{what}"] == table[f"second_{what}"], table[f"first_{what}"] + " / " + table[f"second_{what}"]
        )
        for what in ("role", "label", "group", "source")
    }
    places = zip(table["fold"], table["folds"], strict=True)
    shown = pd.DataFrame(
        {
            "first": table["first_path"],
            "second": table["second_path"],
            "change": table["change"],
            "similarity": table["similarity"].map("{:.2f}".format),
            "crosses": table["crosses"],
            "fold": [f"{fold} and {folds - 1} more" if folds > 1 else fold for fold, folds in places],
            **both,
        }
    )
    silent = [name for name in ("crosses", *both) if (shown[name] == "").all()]
    return shown.drop(columns=[*silent, "fold"] if "roles" in silent else silent)


def _cell(value: Any) -> str:
    """A cell of a table as text."""
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}"
    return printable(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
