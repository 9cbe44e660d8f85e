import base64
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from matplotlib.figure import Figure

from hybridmpi.experiments.document import Document, Note, Picture, Section, TableOf
from hybridmpi.experiments.render.drawing import Drawing
from hybridmpi.experiments.render.html import to_html

VOID = {"meta", "img"}
DRAWING = Drawing(png=b"png", svg=b"longer", width_px=8, height_px=4, description="curves")
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'too'"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page's elements with their own text, after a check that all tags match."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        assert [element.tag for element in self.open] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag == tag and attributes.items() <= element.attributes.items()
        ]

    def values(self, attribute: str) -> list[str]:
        return [value for e in self.elements if (value := e.attributes.get(attribute))]


def page_of(document: Document, drawing: Drawing = DRAWING) -> Page:
    parts = [part for section in document.sections for part in section.parts]
    csv = {part.name: b"a\n1\n" for part in parts if isinstance(part, TableOf)}
    drawings = {part.name: drawing for part in parts if isinstance(part, Picture)}
    return Page(to_html(document, csv, drawings))


def page_with(*parts: Note | TableOf | Picture) -> Page:
    return page_of(Document("title", (), (Section("section", parts),)))


def table(**shown: list[str]) -> TableOf:
    return TableOf("differences", "A table.", pd.DataFrame(shown), pd.DataFrame(shown))


def test_page_loads_nothing(comparison: Document) -> None:
    page = page_of(comparison)
    sources, links = page.values("src"), page.values("href")
    assert len(sources) == 8
    assert all(source.startswith("data:image/") for source in sources)
    assert all(link.startswith(("#", "data:text/csv;")) for link in links)
    assert {"script", "link", "iframe", "object", "base"} & {e.tag for e in page.elements} == set()
    style = page.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style


def test_links_lead_to_ids_that_occur_once(comparison: Document) -> None:
    page = page_of(comparison)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [href[1:] for href in page.values("href") if href.startswith("#")]
    assert targets == [f"section-{number}" for number in (1, 2, 3, 4, 5)]
    assert set(targets) | set(page.values("aria-labelledby")) <= set(ids)


def test_summary_comes_before_contents_and_sections(comparison: Document) -> None:
    page = page_of(comparison)
    headings = [element.text for element in page.elements if element.tag in {"h1", "h2"}]
    assert headings[:4] == [comparison.title, "Summary", "Contents", "What was compared"]


def test_page_says_its_language_and_suits_a_phone(comparison: Document) -> None:
    page = page_of(comparison)
    assert page.all("html", lang="en")
    assert page.all("meta", name="viewport", content="width=device-width, initial-scale=1")


def test_hostile_text_stays_text() -> None:
    hostile = pd.DataFrame({HOSTILE: [HOSTILE], "b": [HOSTILE]})
    parts = (TableOf("t", HOSTILE, hostile, hostile), Picture("p", HOSTILE, Figure()))
    document = Document(HOSTILE, (Note(HOSTILE, "warning"),), (Section(HOSTILE, parts),))
    page = page_of(document, replace(DRAWING, description=HOSTILE))
    assert page.all("script") == []
    assert page.all("title")[0].text == HOSTILE
    assert [cell.text for cell in page.all("th")] == [HOSTILE, "b", HOSTILE]
    assert page.all("img", alt=HOSTILE)


def test_cells_have_scopes_and_sides() -> None:
    page = page_with(table(method=["async"], mean=["+1.5"], verdict=["better"]))
    assert [(e.text, e.attributes["scope"]) for e in page.all("th")] == [
        ("method", "col"),
        ("mean", "col"),
        ("verdict", "col"),
        ("async", "row"),
    ]
    assert [(e.text, e.attributes["class"]) for e in page.all("td")] == [
        ("+1.5", "neutral number"),
        ("better", "neutral"),
    ]


@pytest.mark.parametrize(("tone", "sign"), [("good", "✓"), ("bad", "✗"), ("warning", "!")])
def test_tone_is_told_by_a_sign_and_a_word(tone: str, sign: str) -> None:
    toned = table(method=["async"], verdict=["x"])
    toned.tones[0, "verdict"] = tone  # type: ignore[assignment]
    page = page_with(toned, Note("note", tone))  # type: ignore[arg-type]
    signs = page.all("span", role="img")
    assert [(e.text, e.attributes["aria-label"]) for e in signs] == [(sign, tone)] * 2


def test_tables_can_be_scrolled_by_keyboard() -> None:
    page = page_with(table(method=["async"]))
    assert page.all(
        "div", tabindex="0", role="region", **{"aria-labelledby": "caption-differences"}
    )
    assert page.all("figcaption", id="caption-differences")


def test_tables_and_figures_are_numbered_separately(comparison: Document) -> None:
    labels = [element.text for element in page_of(comparison).all("b")]
    assert [text for text in labels if text.startswith("Table")] == [
        f"Table {number}." for number in (1, 2, 3, 4)
    ]
    assert [text for text in labels if text.startswith("Figure")] == [
        f"Figure {number}." for number in range(1, 9)
    ]


def test_table_holds_its_csv_file() -> None:
    link = page_with(table(method=["async"])).all("a", download="differences.csv")[0]
    media_type, content = (link.attributes["href"] or "").split(",")
    assert (media_type, base64.b64decode(content)) == ("data:text/csv;base64", b"a\n1\n")


@pytest.mark.parametrize(
    ("svg", "source"),
    [(b"s", "data:image/svg+xml;base64,cw=="), (b"longer", "data:image/png;base64,cG5n")],
)
def test_smaller_format_of_a_figure_is_chosen(svg: bytes, source: str) -> None:
    document = Document("title", (), (Section("section", (Picture("p", "", Figure()),)),))
    page = page_of(document, replace(DRAWING, svg=svg))
    assert page.all("img", src=source, width="8", height="4", alt="curves")


def test_table_without_rows_says_so() -> None:
    assert [e.text for e in page_with(table(a=[], b=[])).all("td")] == ["Nothing to show."]


def test_single_note_is_a_whole_report() -> None:
    page = page_of(Document("title", (Note("No runs yet."),), ()))
    assert [e.text for e in page.all("p")] == ["No runs yet."]
    assert page.all("nav") == []
