"""Pairs of files that show one photograph, and what they cross."""

from __future__ import annotations

import pandas as pd

from zoo.auditing import copies

CLASSES = ("normal", "abnormal")


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Rows of (fold, role, path, label, group, source, image)."""
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label", "group", "source", "image"])


def near(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 0.9, "flipped") for row in rows], columns=["first", "second", "similarity", "change"])


def pairs(files: pd.DataFrame, changed: pd.DataFrame) -> list[tuple[object, ...]]:
    files = files.assign(photograph=copies.photographs(files, changed))
    found = copies.pairs(files, changed, CLASSES)
    assert list(found.columns) == copies.COPY_COLUMNS
    return [*found[["first_path", "second_path", "change", "crosses"]].itertuples(index=False, name=None)]


def test_a_chain_of_copies_is_one_photograph() -> None:
    files = table(*[(0, "", name, 0, "", "", name.upper()) for name in "abcd"])
    numbers = copies.photographs(files, near(("A", "B"), ("B", "D"), ("X", "A")))
    assert numbers[0] == numbers[1] == numbers[3] != numbers[2]


def test_the_same_picture_in_every_fold_is_no_copy() -> None:
    files = table(*[(fold, "train", f"Fold{fold}/a", 0, "", "", "A") for fold in range(3)])
    assert pairs(files, near()) == []


def test_same_pixels_are_paired_with_the_first_in_the_fold_that_divides_them() -> None:
    files = table(
        (0, "train", "Fold0/a", 0, "", "", "A"),
        (0, "train", "Fold0/b", 0, "", "", "A"),
        (1, "train", "Fold1/a", 0, "", "", "A"),
        (1, "test", "Fold1/b", 0, "", "", "A"),
        (1, "test", "Fold1/c", 0, "", "", "A"),
    )
    assert pairs(files, near()) == [
        ("Fold1/a", "Fold1/b", "identical", "roles"),
        ("Fold1/a", "Fold1/c", "identical", "roles"),
    ]


def test_changed_copies_say_what_they_cross_and_in_how_many_folds() -> None:
    files = table(
        (0, "train", "a", 0, "p1", "here", "A"),
        (0, "train", "b", 0, "p1", "here", "B"),
        (1, "train", "a", 0, "p1", "here", "A"),
        (1, "test", "b", 0, "p1", "here", "B"),
        (2, "test", "a", 0, "p1", "here", "A"),
        (2, "train", "b", 0, "p1", "here", "B"),
    )
    files["photograph"] = 0
    (row,) = copies.pairs(files, near(("A", "B")), CLASSES).to_dict("records")
    assert (row["crosses"], row["fold"], row["first_role"], row["second_role"], row["folds"]) == (
        "roles",
        1,
        "train",
        "test",
        2,
    )


def test_labels_groups_and_sources_are_crossed_if_known() -> None:
    files = table(
        (0, "", "a", 0, "p1", "here", "A"),
        (0, "", "b", 1, "p2", "there", "B"),
        (0, "", "c", 0, "", "", "C"),
        (0, "", "d", 0, "p4", "here", "D"),
    )
    assert pairs(files, near(("A", "B"), ("A", "C"), ("C", "D"))) == [
        ("a", "b", "flipped", "labels, groups, sources"),
        ("a", "c", "flipped", ""),
        ("c", "d", "flipped", ""),
    ]


def test_a_label_that_changes_from_fold_to_fold_is_found() -> None:
    files = table((0, "train", "Fold0/a", 0, "", "", "A"), (1, "train", "Fold1/a", 1, "", "", "A"))
    assert pairs(files, near()) == [("Fold0/a", "Fold1/a", "identical", "labels")]


def test_pictures_that_meet_in_no_fold_are_no_pair() -> None:
    files = table((0, "train", "a", 0, "", "", "A"), (1, "test", "b", 0, "", "", "B"))
    assert pairs(files, near(("A", "B"))) == []
