"""The README's table: what is measured stands in it, between its marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.quality_table import BEGIN, END, measure, put_between, table

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_table_is_put_between_the_marks_and_nowhere_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_between(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_file_without_the_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        put_between(text, "new")


def test_the_readme_has_the_rows_that_are_measured_today() -> None:
    """With other figures, since one world only is looked at here."""
    written = README.read_text().split(BEGIN)[1].split(END)[0]
    measured = table(measure(worlds=1, tracker_worlds=1, seed=1, real=None))
    names = [row.split("|")[1].split("(")[0] for row in measured.splitlines()]
    assert len(names) > 10
    for name in names:
        assert _without_numbers(name) in _without_numbers(written)


def _without_numbers(text: str) -> str:
    return "".join(sign for sign in text if not sign.isdigit())
