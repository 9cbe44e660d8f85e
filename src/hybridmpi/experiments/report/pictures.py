"""The figures of a report."""

from collections.abc import Iterator, Sequence

from hybridmpi.experiments.document import Picture, Section
from hybridmpi.experiments.figures.cell_map import map_axes
from hybridmpi.experiments.figures.course import draw_rates, draw_threshold_and_staleness
from hybridmpi.experiments.figures.curves import draw_curves
from hybridmpi.experiments.figures.forest import draw_forest
from hybridmpi.experiments.figures.heat_maps import draw_difference_maps, draw_heat_maps
from hybridmpi.experiments.figures.paired_curves import draw_paired_curves
from hybridmpi.experiments.figures.staleness_histogram import draw_staleness_histogram
from hybridmpi.experiments.figures.win_map import draw_win_map
from hybridmpi.experiments.figures.worker_shares import draw_worker_shares
from hybridmpi.experiments.report.findings import Findings

_OVER = {"gradients": "gradients", "bytes_sent": "bytes sent by the server"}


def picture_sections(findings: Findings) -> Iterator[Section]:
    """Yield the sections of figures that the runs are enough for."""
    yield Section("Curves", tuple(_curves(findings)))
    if findings.comparisons:
        yield Section("Differences", tuple(_differences(findings)))
    if maps := tuple(_maps(findings)):
        yield Section("Maps", maps)
    yield Section("The course of the protocol", tuple(_courses(findings)))


def _curves(findings: Findings) -> Iterator[Picture]:
    study, digests, metric = findings.study, findings.digests, findings.outcome
    for name, each in findings.metrics.items():
        yield Picture(
            f"{name.replace('_', '-')}-over-time",
            f"{each.label.capitalize()} over time: mean over the seeds with its 95 % band.",
            draw_curves(study, digests, name),
        )
    for over, what in _OVER.items():
        yield Picture(
            f"{metric.name.replace('_', '-')}-over-{over.replace('_', '-')}",
            f"{metric.label.capitalize()} against {what}: the same runs at equal cost.",
            draw_curves(study, digests, metric.name, over),
        )


def _differences(findings: Findings) -> Iterator[Picture]:
    study, digests, metric = findings.study, findings.digests, findings.outcome
    yield Picture(
        "forest",
        f"Interval mean of {metric.label}: method minus reference, with 95 % intervals.",
        draw_forest(study, digests, metric.name),
    )
    yield Picture(
        "paired-curves",
        f"{metric.label.capitalize()} over time: mean paired difference with its 95 % band.",
        draw_paired_curves(study, digests, metric.name),
    )


def _courses(findings: Findings) -> Iterator[Picture]:
    study, digests = findings.study, findings.digests
    yield Picture(
        "threshold-and-staleness",
        "Threshold and mean staleness over time: mean over the seeds with 95 % bands.",
        draw_threshold_and_staleness(study, digests),
    )
    yield Picture(
        "rates",
        "Gradients and steps per second over time: mean over the seeds with 95 % bands.",
        draw_rates(study, digests),
    )
    yield Picture(
        "staleness-histogram",
        "Share of gradients by their staleness, all seeds together.",
        draw_staleness_histogram(study, digests),
    )
    yield Picture(
        "worker-shares",
        "Each worker's share of its run's gradients; hollow for a delayed one.",
        draw_worker_shares(study, digests),
    )


def _maps(findings: Findings) -> Iterator[Picture]:
    study, digests, metric = findings.study, findings.digests, findings.outcome
    axes = map_axes(study)
    if axes is None:
        return
    yield Picture(
        "heat-maps",
        f"Interval mean of {metric.label} of each method.",
        draw_heat_maps(study, digests, axes, metric.name),
    )
    if findings.comparisons:
        yield Picture(
            "difference-maps",
            f"Interval mean of {metric.label}: method minus reference.",
            draw_difference_maps(study, digests, axes, metric.name),
        )
    presets = findings.presets
    rivals = [variant for variant, preset in presets.items() if preset in {"async", "sync"}]
    hybrids = [variant for variant, preset in presets.items() if preset == "hybrid"]
    yield from _win_maps(findings, axes, hybrids, rivals)


def _win_maps(
    findings: Findings, axes: tuple[str, str], hybrids: Sequence[str], rivals: Sequence[str]
) -> Iterator[Picture]:
    metric = findings.outcome
    for number, hybrid in enumerate(hybrids if rivals else (), 1):
        figure = draw_win_map(findings.study, findings.digests, axes, metric.name, hybrid, rivals)
        yield Picture(
            f"win-map-{number}",
            f"{hybrid} minus the better of {' and '.join(rivals)}, by {metric.label}.",
            figure,
        )
