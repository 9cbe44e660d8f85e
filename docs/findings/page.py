"""The page: docs/results.md.j2 with the numbers filled in."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from findings.results import Results

TEMPLATE = "results.md.j2"


def render_page(results: Results) -> str:
    """Return the page of results."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(TEMPLATE).render(r=results)
