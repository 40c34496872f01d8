"""What is called wrong, what is doubtful, and what is only worth knowing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import pytest

from zoo.auditing import balance, copies, findings
from zoo.auditing.findings import Finding
from zoo.data import groups
from zoo.data.remarks import Remarks
from zoo.data.splits import ROLES

CLASSES = ("normal", "abnormal")


def folds(number: int = 3, images: int = 30) -> pd.DataFrame:
    """Clean folds of single pictures: parts rotate over the roles, classes alternate."""
    rows = [
        (fold, {0: "test", 1: "validation"}.get((image // 2 + fold) % number, "train"), f"{image}.png", image % 2)
        for fold in range(number)
        for image in range(images)
    ]
    table = pd.DataFrame(rows, columns=["fold", "role", "path", "label"]).assign(group="", source="")
    return table.assign(image=table["path"], photograph=copies.photographs(table.assign(image=table["path"]), near()))


def near(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 0.9, "flipped") for row in rows], columns=["first", "second", "similarity", "change"])


def loose(images: int = 8) -> pd.DataFrame:
    """Images in no folds."""
    table = folds(1, images).assign(role="")
    return table


def kinds(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.kind) for finding in findings]


def of_copies(table: pd.DataFrame, *changed: tuple[str, str]) -> list[Finding]:
    table = table.assign(photograph=copies.photographs(table, near(*changed)))
    pairs = copies.pairs(table, near(*changed), CLASSES)
    return [*findings.copies(table, pairs, in_folds=table["role"].iloc[0] != "")]


def test_clean_folds_have_no_error_and_no_warning() -> None:
    table = folds()
    found = [*of_copies(table), *findings.groups(table, True), *balance.folds(table, CLASSES, True)]
    found += balance.classes_and_sources(table.drop_duplicates("image"), CLASSES)
    assert kinds(found) == [("note", "no-groups"), ("note", "partition"), ("note", "balance")]


def test_copies_in_two_roles_of_a_fold() -> None:
    (leak,) = of_copies(folds(), ("0.png", "2.png"))
    assert (leak.severity, leak.kind) == ("error", "copies-across-roles")
    assert leak.text.startswith("1 photograph is in two roles of a fold (1 changed pair: flipped 1)")
    assert leak.rows["folds"].item() == 3


def test_copies_that_always_stay_together_only_count_twice() -> None:
    (twice,) = of_copies(folds(), ("0.png", "6.png"))
    assert (twice.severity, twice.kind) == ("warning", "copies")


def test_copies_with_two_labels() -> None:
    (conflict, leak) = of_copies(folds(), ("0.png", "3.png"))
    assert [conflict.kind, leak.kind] == ["label-conflict", "copies-across-roles"]
    assert set(conflict.rows[["first_label", "second_label"]].to_numpy().ravel()) == set(CLASSES)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["p1", "p1"], [("warning", "copies")]),
        (["p1", "p2"], [("error", "group-conflict")]),
        (["", ""], [("error", "loose-copies")]),
        (["p1", ""], [("error", "loose-copies")]),
    ],
    ids=["one group", "two groups", "no group", "one without a group"],
)
def test_changed_copies_in_no_folds(groups: Sequence[str], expected: list[tuple[str, str]]) -> None:
    table = loose()
    table.loc[[0, 2], "group"] = groups
    assert kinds(of_copies(table, ("0.png", "2.png"))) == expected


def test_the_same_pixels_in_no_folds_are_kept_together() -> None:
    table = loose()
    table.loc[2, "image"] = "0.png"
    assert kinds(of_copies(table)) == [("warning", "copies")]


def test_copies_in_two_sources() -> None:
    table = loose().assign(group="p")
    table["source"] = ["here", "here", *["there"] * 6]
    assert kinds(of_copies(table, ("0.png", "2.png"))) == [("warning", "copies"), ("warning", "copies-across-sources")]


def test_groups_in_two_roles() -> None:
    table = folds()
    table["group"] = [f"p{int(path.removesuffix('.png')) // 4}" for path in table["path"]]
    (leak, mixed) = findings.groups(table, True)
    assert (leak.severity, leak.kind) == ("error", "groups-across-roles")
    assert leak.text.startswith("7 groups are in two roles of a fold")
    assert mixed.kind == "mixed-groups"
    table["group"] = [f"p{int(path.removesuffix('.png')) // 2}" for path in table["path"]]
    assert kinds(findings.groups(table, True)) == [("note", "mixed-groups")]


EYES = ["{}_left.jpg", "{}_right.jpg"]


def eyes(names: Sequence[str] = EYES) -> pd.DataFrame:
    """As folds(), of both eyes of patients, the second eye one part later than the first."""
    table = folds()
    number = table["path"].str.removesuffix(".png").astype(int)
    return table.assign(path=[f"Fold0/{names[n // 2 % 2].format(100 + n // 4)}" for n in number])


@pytest.mark.parametrize("names", [EYES, ["{}-OD.png", "{}-OS.png"], ["img {} L.tif", "img {} R.tif"]], ids=str)
def test_eyes_on_two_sides_are_seen_without_groups(names: Sequence[str]) -> None:
    (found,) = (finding for finding in findings.groups(eyes(names), True) if finding.severity == "error")
    assert found.kind == "eyes-across-roles"
    pattern = found.advice.split("'")[1]
    patients, _ = groups.from_paths([f"a/{name.format(7)}" for name in names], pattern)
    assert len(set(patients)) == 1
    assert groups.from_paths(["x/plain.png"], pattern) == (["plain"], [])


def test_names_of_eyes_in_no_folds_are_a_warning() -> None:
    (found,) = findings.groups(eyes().assign(fold=0, role="").drop_duplicates("path"), False)
    assert (found.severity, found.kind) == ("warning", "no-groups")
    assert "left and right eyes of 7 patients" in found.text or "of 8 patients" in found.text


def test_names_without_both_sides_are_no_eyes() -> None:
    table = folds().assign(path=lambda table: "x" + table["path"].str.replace(".png", "_left.png"))
    assert kinds(findings.groups(table, True)) == [("note", "no-groups")]


def test_roles_without_a_class_or_any_image() -> None:
    table = folds()
    table = table[~((table["fold"] == 1) & (table["role"] == "test") & (table["label"] == 1))]
    table = table[~((table["fold"] == 2) & (table["role"] == "validation"))]
    (found, *_) = balance.folds(table, CLASSES, True)
    assert (found.severity, found.kind) == ("error", "missing-class")
    assert found.rows[["fold", "role"]].to_numpy().tolist() == [[1, "test"], [2, "validation"]]


def test_tests_that_overlap_and_images_never_tested() -> None:
    table = folds()
    swap = (table["fold"] == 1) & (table["path"] == "0.png")
    table.loc[swap, "role"] = "test"
    (overlap,) = balance.folds(table, CLASSES, True)
    assert (overlap.severity, overlap.kind) == ("warning", "test-overlap")
    assert overlap.rows["folds"].item() == [0, 1]
    two = table[table["fold"] != 2]
    assert kinds(balance.folds(two, CLASSES, True))[-1] == ("warning", "never-tested")
    assert "never-tested" not in dict(map(reversed, kinds(balance.folds(two, CLASSES, all_folds=False))))


def test_uneven_roles_are_told_from_chance() -> None:
    table = folds(3, 600)
    assert kinds(balance.folds(table, CLASSES, True)) == [("note", "partition")]
    first = (table["fold"] == 0) & (table["role"] != "train") & (table["label"] == 1)
    table.loc[first & (table.index % 8 < 6), "role"] = "train"
    assert ("warning", "uneven-folds") in kinds(balance.folds(table, CLASSES, True))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": (50, 50), "b": (50, 50)}, []),
        ({"a": (100, 30), "b": (0, 40)}, ["source-tells-label"]),
        ({"a": (100, 10), "b": (4, 0)}, []),  # four images without the rare class are nothing
        ({"a": (90, 10), "b": (40, 60)}, ["uneven-sources"]),
        ({"a": (100, 0), "b": (0, 100)}, ["source-tells-label"]),
        ({"": (100, 30), "b": (0, 40)}, ["source-tells-label"]),
    ],
    ids=["even", "one class", "small", "uneven", "each its own", "unknown"],
)
def test_sources(counts: dict[str, tuple[int, int]], expected: list[str]) -> None:
    rows = [(name, label) for name, each in counts.items() for label in (0, 1) for _ in range(each[label])]
    (note, *found) = balance.classes_and_sources(pd.DataFrame(rows, columns=["source", "label"]), CLASSES)
    assert note.severity == "note"
    assert [finding.kind for finding in found] == expected


def test_files_that_changed_since_the_split() -> None:
    table = loose(3).assign(expected=["0.png", "other", ""])
    (found,) = findings.changed(table)
    assert found.severity == "error"
    assert list(found.rows["path"]) == ["1.png"]


def test_errors_come_first() -> None:
    given = [Finding(level, "kind", "") for level in ("note", "error", "warning", "error")]
    assert [finding.severity for finding in findings.in_order(given)] == ["error", "error", "warning", "note"]
    assert set(ROLES) == {"train", "validation", "test"}


def test_files_that_can_be_used_but_should_be_looked_at() -> None:
    table = pd.DataFrame({"path": ["a.png", "fold1/a.png", "b.jpg", "c.tif", "d.png"], "image": [*"AABCD"]})
    narrow = Remarks(span=(0, 1023))
    table["remarks"] = [narrow, narrow, Remarks(damage="bad Huffman code"), Remarks(further=2), Remarks()]
    found = [*findings.remarked(table)]
    assert kinds(found) == [("warning", kind) for kind in ("damaged", "narrow-range", "further-pictures")]
    assert found[0].rows.to_dict("records") == [{"path": "b.jpg", "what": "bad Huffman code"}]
    assert found[1].text.startswith("1 image holds 16 bits a channel but only values 0..1023")
    assert found[2].text.endswith("the first is used, 2 are ignored")


def test_one_scene_twice_is_a_finding_of_its_own() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    files = loose(6).assign(path=names, image=names, photograph=range(6), label=[0, 0, 0, 0, 0, 1])
    files["group"] = ["1", "2", "3", "3", "", "4"]
    seen = near(("a", "b"), ("c", "d"), ("e", "f")).assign(change="same scene, darkened")
    found = [*findings.same_scenes(copies.pairs(files, seen, CLASSES), in_folds=False)]
    assert kinds(found) == [("error", "scene-label-conflict"), ("error", "same-scene"), ("note", "scenes")]
    labels, apart, together = (set(finding.rows["first_path"]) for finding in found)
    assert (labels, apart, together) == ({"e"}, {"a"}, {"c"})
    assert "1 pair of pictures probably shows the same eye or scene, labelled in different ways" in found[0].text
    split = files.assign(role=["train", "train", "test", "train", "train", "train"])
    divided = [*findings.same_scenes(copies.pairs(split, seen, CLASSES), in_folds=True)]
    assert kinds(divided)[1] == ("error", "same-scene")
    assert set(divided[1].rows["first_path"]) == {"a", "c"}
    assert "in two roles of a fold, or in different groups" in divided[1].text


def test_pictures_that_cannot_be_compared_are_counted() -> None:
    (found,) = findings.too_plain(["a.png", "b.png"])
    assert found.text.startswith("2 pictures hold too little detail to be compared")
    assert [*findings.too_plain([])] == []
