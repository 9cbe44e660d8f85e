from collections.abc import Mapping

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hybridmpi.experiments.document import Document, Note, Section, TableOf
from hybridmpi.experiments.render.drawing import Drawing
from hybridmpi.experiments.render.markdown import to_markdown


def parsed(document: Document, drawings: Mapping[str, Drawing] | None = None) -> list[Token]:
    """Return a reader's view of the report: the tokens of its blocks."""
    return MarkdownIt("commonmark").enable("table").parse(to_markdown(document, drawings or {}))


def texts(tokens: list[Token]) -> list[str]:
    return [
        "".join(child.content for child in token.children or ())
        for token in tokens
        if token.type == "inline"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "back\\slash \\| and `code`",
        "<script>alert(1)</script> &amp; [link](x) ![image](y)",
        "*a* **b** _c_ __d__ snake_case _private ~~e~~ $x$",
        "# heading",
        "- item",
        "+ item",
        "12. item",
        "3) item",
        "> quote",
        "---",
        "===",
        "-0.5 points",
    ],
)
def test_text_is_shown_as_it_is(text: str) -> None:
    shown = pd.DataFrame({text: ["first", text]})
    table = TableOf("t", text, shown, shown)
    document = Document(text, (Note(text),), (Section(text, (Note(text), table)),))
    tokens = parsed(document)
    assert texts(tokens) == [*(text,) * 6, "first", text, "t.csv"]
    kinds = {t.type for t in tokens} - {t.type for t in parsed(plain())}
    assert kinds == set()


def plain() -> Document:
    shown = pd.DataFrame({"a": ["b", "c"]})
    parts = (Note("note"), TableOf("t", "caption", shown, shown))
    return Document("title", (Note("summary"),), (Section("section", parts),))


def test_line_break_does_not_break_a_row() -> None:
    shown = pd.DataFrame({"a": ["one\ntwo"], "b": ["three"]})
    document = Document("title", (), (Section("s", (TableOf("t", "c", shown, shown),)),))
    assert "one two" in texts(parsed(document))


def test_numbers_stand_on_the_right_and_tones_have_signs() -> None:
    shown = pd.DataFrame({"method": ["async", "sync"], "mean": ["+1", "+10"]})
    table = TableOf("t", "c", shown, shown, {(0, "mean"): "good", (1, "mean"): "bad"})
    expected = "| method |  mean |\n| ------ | ----: |\n| async  |  ✓ +1 |\n| sync   | ✗ +10 |\n"
    assert expected in to_markdown(Document("title", (), (Section("s", (table,)),)), {})


def test_warning_says_that_it_is_one() -> None:
    document = Document("title", (Note("2 runs are missing.", "warning"),), ())
    assert to_markdown(document, {}) == "# title\n\n- **Warning:** 2 runs are missing.\n"


def test_figures_are_linked(comparison: Document) -> None:
    drawing = Drawing(b"", b"", 1, 1, "curves [a|b]")
    names = [
        *("test-accuracy", "test-loss", "threshold", "staleness"),
        *("share-per-worker", "gradients", "win-map", "best-rate"),
    ]
    tokens = parsed(comparison, dict.fromkeys(names, drawing))
    images = [c for t in tokens for c in t.children or () if c.type == "image"]
    assert [image.attrs["src"] for image in images] == [f"figures/{name}.png" for name in names]
    assert {image.content for image in images} == {r"curves \[a\|b\]"}
