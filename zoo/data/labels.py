"""Labels: class names in the tables that people and zoo write, class numbers within zoo."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd

from zoo.data.table import columns, refuse, rows
from zoo.errors import ConfigError
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
    refuse(
        where,
        faults,
        f"{column} must be a class ({', '.join(classes)}) {advice}; --classes NAME,… names others, --labels "
        "LABEL=CLASS,… says which class a label is",
    )
    return [known[cell] for cell in table[column]]


@dataclass(frozen=True)
class Condition:
    """A condition on one column of a table, such as grade>=2, that is true of the positive class.

    `value` is a number where it can be one; then the cells must be too.
    """

    column: str
    sign: str
    value: str

    @property
    def classes(self) -> tuple[str, str]:
        """Names for what it is false of, and what it is true of."""
        opposite, _ = SIGNS[self.sign]
        return (f"{self.column}{opposite}{self.value}", f"{self.column}{self.sign}{self.value}")

    def numbers(self, table: pd.DataFrame, where: str) -> list[int]:
        """1 for each row that it is true of, else 0. Raises DataError for cells that it cannot be asked of."""
        columns(table, where, [self.column])
        _, ask = SIGNS[self.sign]
        limit = _value(self.value)
        faults = [
            f"{place}: {cell!r}"
            for place, cell in rows(table, self.column)
            if not cell or (limit is not None and _value(cell) is None)
        ]
        kind = "a number" if limit is not None else "filled in"
        refuse(where, faults, f"{self.column} must be {kind}, to tell whether {self.column}{self.sign}{self.value}:")
        if limit is None:
            return [int(ask(nfc(cell), nfc(self.value))) for cell in table[self.column]]
        return [int(ask(_value(cell), limit)) for cell in table[self.column]]


# Each sign with its opposite, and the question that it asks.
SIGNS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    ">=": ("<", operator.ge),
    "<=": (">", operator.le),
    "!=": ("==", operator.ne),
    "==": ("!=", operator.eq),
    ">": ("<=", operator.gt),
    "<": (">=", operator.lt),
    "=": ("!=", operator.eq),
}


def condition(text: str) -> Condition | None:
    """ "grade>=2" as a condition; None for what holds no sign, and so is the name of a column.

    Raises ConfigError for a condition without a column or a value, and for one that orders what is no number.
    """
    match = re.fullmatch(f"(.*?)({'|'.join(SIGNS)})(.*)", text)
    if not match:
        return None
    column, sign, value = (part.strip() for part in match.groups())
    if not column or not value or (sign[0] in "<>" and _value(value) is None):
        raise ConfigError(f"label {text!r}: must be a column, or COLUMN>NUMBER with >, >=, <, <=, = or !=")
    return Condition(column, "==" if sign == "=" else sign, value)


def _value(text: str) -> Decimal | None:
    """The number that a text is, None if it is none."""
    try:
        value = Decimal(WORDS.get(text.casefold(), text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
