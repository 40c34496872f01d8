"""What an audit found is known to later runs, on other folds of the same pictures too."""

from __future__ import annotations

import pandas as pd

from zoo.data import known_copies


def pairs(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 0.9, "flipped") for row in rows], columns=known_copies.NEAR_COLUMNS)


def test_before_any_audit_nothing_is_known() -> None:
    assert list(known_copies.known(["a", "b"]).columns) == known_copies.NEAR_COLUMNS
    assert known_copies.known(["p", "q"]).empty


def test_pairs_are_known_among_the_pictures_asked_for_from_all_audits() -> None:
    known_copies.remember(["a", "b", "c"], pairs(("a", "b"), ("b", "c")))
    known_copies.remember(["a", "b", "d"], pairs(("a", "b"), ("a", "d")))
    found = known_copies.known(["a", "b", "d"])
    assert sorted(zip(found["first"], found["second"], strict=True)) == [("a", "b"), ("a", "d")]
    assert found["change"].tolist() == ["flipped", "flipped"]


def test_a_new_audit_of_the_same_pictures_replaces_the_old() -> None:
    known_copies.remember(["x", "y"], pairs(("x", "y")))
    known_copies.remember(["y", "x"], pairs())
    assert known_copies.known(["x", "y"]).empty


def test_it_is_known_what_nobody_has_looked_at() -> None:
    """A file that has changed since the audit shows another picture."""
    assert known_copies.unseen(["o1", "o2"]) == {"o1", "o2"}
    known_copies.remember(["k", "l", "m"], pairs())
    known_copies.remember(["k", "x1", "x2"], pairs())
    assert known_copies.unseen(["k", "m"]) == set()
    assert known_copies.unseen(["k", "l", "changed"]) == {"changed"}
