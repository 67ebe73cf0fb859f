"""The README's table: what is measured stands in it, between its marks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipes.quality_table import (
    BEGIN,
    END,
    NOT_MEASURED,
    main,
    measure,
    put_between,
    real_rows,
    table,
)

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_table_is_put_between_the_marks_and_nowhere_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_between(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_file_without_the_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        put_between(text, "new")


def test_the_readme_has_the_rows_that_are_measured_today() -> None:
    """With other figures, since one world only is looked at here, and no real footage."""
    written = README.read_text().split(BEGIN)[1].split(END)[0]
    measured = table(measure(worlds=1, tracker_worlds=1, seed=1, real=None))
    assert len(names_of(measured)) > 10
    assert names_of(measured) == names_of(written)
    assert NOT_MEASURED not in written


def test_what_was_not_measured_is_said_in_its_row() -> None:
    rows = real_rows({})
    assert len(rows) == 5 and {figure for _, figure in rows} == {NOT_MEASURED}
    scores = {"gone_wrongly": 0.25, "gone_judged": 8, "still_said": None}
    figures = {name: figure for name, figure in real_rows(scores)}
    assert figures["the same, told to leave or disappear though still seen (8 that stay)"] == "0.25"
    assert figures["the same, no direction told (0 that rest)"] == "not judged"
    assert figures["the same, colour right"] == NOT_MEASURED


def test_folders_and_files_are_looked_at_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_work(*_: object) -> None:
        raise AssertionError("the long work was begun")

    monkeypatch.setattr("recipes.quality_table.measure", no_work)
    (tmp_path / "boxes.json").write_text('[{"clip": "a.mp4", "width": 8, "height": 8}]')
    (tmp_path / "plain.md").write_text("no marks")
    for given, fault in (
        (["--real", str(tmp_path / "none")], "no such folder"),
        (["--real", str(tmp_path)], "a.mp4: no subject with boxes"),
        (["--write", str(tmp_path / "plain.md")], "plain.md: it needs the lines"),
    ):
        monkeypatch.setattr("sys.argv", ["quality_table", *given])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert fault in capsys.readouterr().err


def test_the_file_is_written_before_the_table_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"{BEGIN}\n{END}\n")

    def broken(*_: object) -> int:
        raise BrokenPipeError("nobody listens")

    monkeypatch.setattr("recipes.quality_table.measure", lambda *_: [("what", "0.50")])
    monkeypatch.setattr("sys.argv", ["quality_table", "--write", str(file)])
    monkeypatch.setattr("builtins.print", broken)
    with pytest.raises(BrokenPipeError):
        main()
    assert "| what | 0.50 |" in file.read_text()


def names_of(rows: str) -> list[str]:
    """First cells of a table without their numbers."""
    cells = [line.split("|")[1] for line in rows.splitlines() if line.startswith("|")]
    return [re.sub(r"\d+", "N", cell).strip() for cell in cells]
