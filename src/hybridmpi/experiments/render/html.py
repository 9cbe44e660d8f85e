"""A report as one HTML file that needs no other."""

import base64
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hybridmpi import __version__
from hybridmpi.experiments.document import Document, Note, Picture, TableOf
from hybridmpi.experiments.render.cells import SIGNS, are_numbers, rows
from hybridmpi.experiments.render.drawing import Drawing


def to_html(
    document: Document, csv_files: Mapping[str, bytes], drawings: Mapping[str, Drawing]
) -> str:
    """Return a report as a page that holds its own style, figures and CSV files.

    Args:
        document: The report.
        csv_files: Its tables' numbers, by name.
        drawings: Its pictures, by name.
    """
    template = _environment().get_template("report.html.j2")
    return template.render(
        document=document,
        csv_uris={name: _data_uri("text/csv", csv) for name, csv in csv_files.items()},
        drawings=drawings,
        numbers=_numbers(document),
        version=__version__,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name, kind in (("note", Note), ("table", TableOf), ("picture", Picture)):
        environment.tests[name] = lambda part, kind=kind: isinstance(part, kind)
    environment.filters.update(rows=rows, are_numbers=are_numbers, image_uri=_image_uri)
    environment.globals["signs"] = SIGNS
    return environment


def _numbers(document: Document) -> dict[str, dict[str, int]]:
    """Return the number of each table and each picture by its name, counted from 1."""
    parts = [part for section in document.sections for part in section.parts]
    return {
        "table": dict(zip((p.name for p in parts if isinstance(p, TableOf)), count(1))),
        "picture": dict(zip((p.name for p in parts if isinstance(p, Picture)), count(1))),
    }


def _image_uri(drawing: Drawing) -> str:
    """Return the smaller format: many points make an SVG large, few leave it small and sharp.

    As an image, and not as a part of the page: each SVG keeps its ids to itself.
    """
    if len(drawing.svg) < len(drawing.png):
        return _data_uri("image/svg+xml", drawing.svg)
    return _data_uri("image/png", drawing.png)


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
