"""What is wrong with copies and groups, or worth knowing, from tables of files: nothing is read or decoded here.

A table of files has a row per file, and in folds per fold and file: columns fold, role, path, label, group, source,
image (sha256 of the decoded pixels), and photograph, alike for copies of one another. Data in no folds have fold 0 and
role ''. Pairs of copies are those of zoo.auditing.copies.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from zoo.data import remarks
from zoo.data.groups import EYE_GROUPS, loose_eyes

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    `severity` is error for what makes scores wrong, warning for what may, note for what is good to know. `text` says
    what, with counts, `advice` what to do about it; `rows` lists every case.
    """

    severity: Severity
    kind: str
    text: str
    advice: str = ""
    rows: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)


def counted(number: int, what: str, several: str | None = None) -> str:
    """1 picture, 2 pictures, 1,000 pictures."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def unreadable(files: pd.DataFrame) -> Iterator[Finding]:
    """Files that cannot be decoded; `files` has columns path and fault."""
    rows = files.loc[files["fault"] != "", ["path", "fault"]].drop_duplicates("path")
    if len(rows):
        yield Finding(
            "error",
            "unreadable",
            f"{counted(len(rows), 'file')} cannot be read, and training would refuse them",
            "Mend or remove them. All other findings are about the rest.",
            rows.reset_index(drop=True),
        )


def remarked(files: pd.DataFrame) -> Iterator[Finding]:
    """Files that can be used but should be looked at; `files` has a column remarks."""
    files = files.drop_duplicates(["image", "remarks"])  # in folds a picture is there several times
    for told in remarks.told(dict(zip(files["path"], files["remarks"], strict=True))):
        rows = pd.DataFrame({"path": [*told.files], "what": [*told.files.values()]})
        yield Finding("warning", told.kind, told.text, f"{told.advice}.", rows)


def copies(files: pd.DataFrame, pairs: pd.DataFrame, in_folds: bool) -> Iterator[Finding]:
    """Photographs that occur more than once, and what their copies cross."""

    def crossing(what: str) -> pd.DataFrame:
        return pairs[pairs["crosses"].str.contains(what)].reset_index(drop=True)

    conflicts = crossing("labels")
    if len(conflicts):
        yield Finding(
            "error",
            "label-conflict",
            f"{_photographs(conflicts)} labelled in different ways ({_changes(conflicts)})",
            "At least one of the labels is wrong. Look at the pictures, mend or remove.",
            conflicts,
        )
    leaks = crossing("roles")
    if len(leaks):
        yield Finding(
            "error",
            "copies-across-roles",
            f"{_photographs(leaks)} in two roles of a fold ({_changes(leaks)}): what is scored was trained or "
            "selected on",
            "Keep one of each, or divide anew: zoo data split keeps copies together that an audit has found.",
            leaks,
        )
    strangers = crossing("groups")
    if len(strangers):
        yield Finding(
            "error",
            "group-conflict",
            f"{_photographs(strangers)} in several groups ({_changes(strangers)}): no split by group keeps its copies "
            "together",
            "One patient may have two numbers, or a file a wrong one. Give the copies one group, or keep one of them.",
            strangers,
        )
    loose = pairs.iloc[:0] if in_folds else _loose(pairs)
    if len(loose):
        yield Finding(
            "error",
            "loose-copies",
            f"{_photographs(loose)} there in changed copies that no group holds together ({_changes(loose)}): most "
            "splits would test on what they trained on",
            "Keep one of each, give copies one group, or divide by zoo data split, which keeps copies together that an "
            "audit has found.",
            loose,
        )
    reported = {*conflicts["photograph"], *leaks["photograph"], *strangers["photograph"], *loose["photograph"]}
    together = pairs[~pairs["photograph"].isin(reported)].reset_index(drop=True)
    if len(together):
        where = "always on one side" if in_folds else "kept together by their pixels or their group"
        several = counted(together["photograph"].nunique(), "photograph occurs", "photographs occur")
        labels = together["first_label"].unique()
        where += f", all of class {labels[0]}" if len(labels) == 1 and len(together) > 1 else ""
        yield Finding(
            "warning",
            "copies",
            f"{several} more than once, {where} ({_changes(together)})",
            "No leak, but they count several times, in training and in scores. Keep one of each unless this is meant.",
            together,
        )
    abroad = crossing("sources")
    if len(abroad):
        yield Finding(
            "warning",
            "copies-across-sources",
            f"{_photographs(abroad)} in several sources ({_changes(abroad)})",
            "Leaving one source out would test on what was trained on.",
            abroad,
        )


def same_scenes(pairs: pd.DataFrame, in_folds: bool) -> Iterator[Finding]:
    """Photographs of one eye or scene; `pairs` as of `copies`, in which these are no copies of one another."""
    apart = pairs["crosses"].str.contains("roles") | pairs["crosses"].str.contains("groups")
    if not in_folds:
        apart |= (pairs["first_group"] == "") | (pairs["second_group"] == "")
    conflicts = pairs["crosses"].str.contains("labels")
    where = "in different groups or none: no split keeps them together"
    if in_folds:
        all_in_roles = pairs["crosses"][apart & ~conflicts].str.contains("roles").all()
        where = "in two roles of a fold" + ("" if all_in_roles else ", or in different groups")
    kinds: tuple[tuple[pd.Series[bool], Severity, str, str, str], ...] = (
        (
            conflicts,
            "error",
            "scene-label-conflict",
            "labelled in different ways",
            "Look at the pictures: one of the labels is wrong, or the disease came or went between them.",
        ),
        (
            apart & ~conflicts,
            "error",
            "same-scene",
            where,
            "Look at the pictures. Give them one group, such as the patient, or keep one of them; zoo data split keeps "
            "together what an audit has found.",
        ),
        (
            ~apart & ~conflicts,
            "note",
            "scenes",
            "always on one side" if in_folds else "kept together by their group",
            "Two photographs of a patient, or a copy in another light.",
        ),
    )
    for which, severity, kind, place, advice in kinds:
        rows = pairs[which].reset_index(drop=True)
        if len(rows):
            several = counted(len(rows), "pair of pictures probably shows", "pairs of pictures probably show")
            yield Finding(severity, kind, f"{several} the same eye or scene, {place}", advice, rows)


def too_plain(paths: Sequence[str]) -> Iterator[Finding]:
    """Pictures in which nothing could be compared."""
    if paths:
        yield Finding(
            "note",
            "too-plain",
            f"{counted(len(paths), 'picture holds', 'pictures hold')} too little detail to be "
            "compared: changed copies of them would go unseen",
            rows=pd.DataFrame({"path": [*paths]}),
        )


def _loose(pairs: pd.DataFrame) -> pd.DataFrame:
    """Changed copies, one of which has no group: what zoo can't see without an audit."""
    unknown = (pairs["first_group"] == "") | (pairs["second_group"] == "")
    return pairs[unknown & (pairs["change"] != "identical")].reset_index(drop=True)


def _photographs(pairs: pd.DataFrame) -> str:
    number = pairs["photograph"].nunique()
    return f"{counted(number, 'photograph')} {'is' if number == 1 else 'are'}"


def _changes(pairs: pd.DataFrame, most: int = 4) -> str:
    """How the copies were made: "12 identical pairs; changed: flipped 3, cropped 2, …"."""
    identical = int((pairs["change"] == "identical").sum())
    words = Counter(
        re.sub(r"rotated \d+", "rotated", word)
        for change in pairs["change"]
        if change != "identical"
        for word in change.split(", ")
    )
    named = ", ".join(f"{word} {count:,}" for word, count in words.most_common(most))
    changed = f"{counted(len(pairs) - identical, 'changed pair')}: {named}{', …' if len(words) > most else ''}"
    return "; ".join([counted(identical, "identical pair")] * bool(identical) + [changed] * bool(words))


def groups(files: pd.DataFrame, in_folds: bool) -> Iterator[Finding]:
    """Groups, such as patients, on two sides of a fold; and what is known of groups at all."""
    known = files[files["group"] != ""]
    yield from _divided(
        known,
        "groups-across-roles",
        "in two roles of a fold: models may know the patient, not the disease",
        "Divide anew: zoo data split keeps groups together.",
    )
    yield from _unknown_groups(files, in_folds)
    mixed = known.groupby("group")["label"].nunique()
    if (mixed > 1).any():
        several = int((mixed > 1).sum())
        yield Finding(
            "note",
            "mixed-groups",
            f"{several:,} of {counted(len(mixed), 'group')} have images of several classes, as "
            "a patient with one healthy eye has",
        )


def _unknown_groups(files: pd.DataFrame, in_folds: bool) -> Iterator[Finding]:
    """What is not known of groups, and what file names tell of it: that two eyes are one patient's, say."""
    eyes = loose_eyes(files)
    patients = counted(eyes["patient"].nunique(), "patient")
    advice = f"If names tell the patient, audit again with --groups '{EYE_GROUPS}', and train with it."
    by_name = eyes.assign(group=eyes["patient"])
    suspects = [*_divided(by_name, "eyes-across-roles", "in two roles of a fold, as their file names tell", advice)]
    yield from suspects
    unknown = files[files["group"] == ""]
    images, some = unknown["image"].nunique(), len(unknown) < len(files)
    text = f"no groups (such as patients) are known{f' of {images:,} images' if some else ''}"
    if len(eyes) and not suspects:
        rows = eyes[["patient", "path", "group"]].drop_duplicates("path").sort_values(["patient", "path"])
        text = (
            f"{text}; " * (not some)
            + f"file names look like left and right eyes of {patients} whom no group holds together"
        )
        yield Finding("warning", "eyes" if some else "no-groups", text, advice, rows.reset_index(drop=True))
    elif images and not suspects:
        advice = "Give a column group in the manifest, or --groups REGEX: a patient in two roles goes unseen else."
        yield Finding("note" if in_folds else "warning", "no-groups", text, advice)


def _divided(files: pd.DataFrame, kind: str, where: str, advice: str) -> Iterator[Finding]:
    """An error if a group is in two roles of a fold."""
    by_group = files.groupby(["fold", "group"])
    leaks = files[by_group["role"].transform("nunique") > 1]
    if leaks.empty:
        return
    by_role = leaks.groupby(["fold", "group", "role"], as_index=False).agg(
        images=("path", "size"), path=("path", "min")
    )
    rows = by_role.groupby(["fold", "group"], as_index=False).agg(
        roles=("role", lambda roles: ", ".join(roles)), images=("images", "sum"), examples=("path", list)
    )
    number = rows["group"].nunique()
    folds = rows["fold"].nunique()
    text = f"{counted(number, 'group')} {'is' if number == 1 else 'are'} {where} ({counted(folds, 'fold')} affected)"
    yield Finding("error", kind, text, advice, rows)


def changed(files: pd.DataFrame) -> Iterator[Finding]:
    """Files that show another picture than when the split was made; `files` has a column expected, '' if unknown."""
    wrong = files[(files["expected"] != "") & (files["image"] != "") & (files["expected"] != files["image"])]
    rows = wrong[["path"]].drop_duplicates().reset_index(drop=True)
    if len(rows):
        yield Finding(
            "error",
            "changed",
            f"{counted(len(rows), 'file')} changed since the split was made",
            "Put back what was there, or empty the cells of the column image to take what is there now.",
            rows,
        )


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
