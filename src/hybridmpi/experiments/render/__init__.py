"""A report's forms: HTML, Markdown, CSV, PNG and SVG."""

from hybridmpi.experiments.render.report import write_report

__all__ = ["write_report"]
