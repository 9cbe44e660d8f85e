from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pandas.testing import assert_frame_equal

from hybridmpi.errors import UserError
from hybridmpi.experiments.document import Document, Note, Picture, Section, TableOf
from hybridmpi.experiments.render import write_report


def report_of(*parts: Note | TableOf | Picture) -> Document:
    return Document("title", (), (Section("section", parts),))


def table(name: str, numbers: pd.DataFrame | None = None) -> TableOf:
    numbers = pd.DataFrame({"a": [1]}) if numbers is None else numbers
    return TableOf(name, "A table.", numbers.astype(str), numbers)


def picture(name: str) -> Picture:
    return Picture(name, "A picture.", Figure(figsize=(1, 1)))


def files_in(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".report-files"
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


def test_every_part_gets_its_files(tmp_path: Path) -> None:
    write_report(report_of(table("gain"), picture("gain"), picture("win-map")), tmp_path)
    assert files_in(tmp_path) == [
        *("figures/gain.png", "figures/gain.svg", "figures/win-map.png", "figures/win-map.svg"),
        *("report.html", "report.md", "tables/gain.csv"),
    ]
    assert (tmp_path / "figures/gain.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figures/gain.svg").read_text().startswith("<?xml")
    assert "A picture." in (tmp_path / "report.html").read_text()
    assert "](figures/win-map.png)" in (tmp_path / "report.md").read_text()


def test_csv_files_hold_the_numbers_to_the_last_bit(tmp_path: Path) -> None:
    numbers = pd.DataFrame(
        {
            "variant": ["a,b", 'quo"te & <i>', "größe\nx"],
            "mean": [0.1 + 0.2, np.nan, -1e-300],
            "gradients": [1, 2, 2**62],
        }
    )
    write_report(report_of(table("numbers", numbers)), tmp_path)
    read = pd.read_csv(tmp_path / "tables/numbers.csv")
    assert_frame_equal(read, numbers, check_exact=True)


def test_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_report(report_of(Note("text"), table("t"), picture("p")), tmp_path / folder)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_new_report_replaces_the_old_one(tmp_path: Path) -> None:
    write_report(report_of(table("old"), table("both"), picture("old")), tmp_path)
    write_report(report_of(table("both", pd.DataFrame({"a": [2]})), picture("new")), tmp_path)
    assert files_in(tmp_path) == [
        *("figures/new.png", "figures/new.svg", "report.html", "report.md", "tables/both.csv")
    ]
    assert (tmp_path / "tables/both.csv").read_text() == "a\n2\n"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    own = ["experiment.toml", "runs/a.h5", "tables/mine.csv", "figures/mine.png"]
    for name in own:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    write_report(report_of(table("t")), tmp_path)
    write_report(report_of(), tmp_path)
    assert files_in(tmp_path) == sorted([*own, "report.html", "report.md"])


@pytest.mark.parametrize("name", ["../tables/t.csv", "runs/a.h5", "tables/../a.csv", "", "\x00"])
def test_list_of_files_removes_nothing_but_what_a_report_makes(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "report"
    kept = [folder / "runs/a.h5", folder / "a.csv", tmp_path / "tables/t.csv"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    (folder / "tables").mkdir()
    (folder / ".report-files").write_text(f"{name}\n")
    write_report(report_of(), folder)
    assert [path.read_text() for path in kept] == ["kept"] * 3


@pytest.mark.parametrize("document", [Document("title", (), ()), report_of(), report_of(Note("a"))])
def test_short_report_is_written(document: Document, tmp_path: Path) -> None:
    write_report(document, tmp_path / "new" / "folder")
    assert files_in(tmp_path / "new" / "folder") == ["report.html", "report.md"]


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write '.*file/report.html'"):
        write_report(report_of(), tmp_path / "file")


def test_report_that_cannot_be_written_leaves_the_old_one_whole(tmp_path: Path) -> None:
    write_report(report_of(Note("old"), table("old")), tmp_path)
    before = contents(tmp_path)
    (tmp_path / "figures").touch()
    with pytest.raises(UserError, match=r"cannot write '.*figures/p.png'"):
        write_report(report_of(Note("new"), picture("p")), tmp_path)
    (tmp_path / "figures").unlink()
    assert contents(tmp_path) == before


def test_report_that_cannot_be_moved_into_place_leaves_the_old_one_whole(tmp_path: Path) -> None:
    write_report(report_of(Note("old"), table("both")), tmp_path)
    before = contents(tmp_path)
    (tmp_path / "figures/p.svg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot write '.*figures/p.svg'"):
        write_report(report_of(Note("new"), table("both"), picture("p")), tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["../up", "a/b", "", "Upper", "two words", "-a"])
def test_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be lower case letters, digits and hyphens"):
        write_report(report_of(table(name)), tmp_path)
    assert files_in(tmp_path) == []


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 tables or pictures are named 'same'"):
        write_report(report_of(table("same"), table("same")), tmp_path)
