"""Labels: class names in the tables that people and zoo write, class numbers within zoo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import pandas as pd

from zoo.data.table import refuse, rows
from zoo.files import nfc

WORDS = {"true": "1", "false": "0"}


def named(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The table with the names of the classes as labels: read with the classes in another order, it means the same."""
    return table.assign(label=table["label"].map(dict(enumerate(classes))))


def numbers(table: pd.DataFrame, column: str, classes: Sequence[str], where: str) -> list[int]:
    """Class numbers from cells that hold a class name, or its number from 0 unless a name is a number itself.

    Whole numbers may be written as 1.0 or True too. Where a name is a number, a number is a name and never a
    position: grade 0 is not the first of grades 1 and 2.

    Raises DataError for any other cell.
    """
    known = {nfc(class_name): number for number, class_name in enumerate(classes)}
    values = [_value(class_name) for class_name in classes]
    of_value: dict[Decimal | None, int]
    if any(value is not None for value in values):
        times = Counter(values)
        of_value = {value: number for number, value in enumerate(values) if value is not None and times[value] == 1}
        advice = "by its name: where names are numbers, no number is taken for a position"
    else:
        of_value = {Decimal(number): number for number in range(len(classes))}
        advice = "or its number from 0"
    for cell in table[column].unique():
        number = known.get(nfc(cell), of_value.get(_value(cell)))
        if number is not None:
            known[cell] = number
    faults = [f"{place}: {cell!r}" for place, cell in rows(table, column) if cell not in known]
    refuse(where, faults, f"{column} must be a class ({', '.join(classes)}) {advice}; classes are set under [data]")
    return [known[cell] for cell in table[column]]


def _value(text: str) -> Decimal | None:
    """The number that a text is, None if it is none."""
    try:
        value = Decimal(WORDS.get(text.casefold(), text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
