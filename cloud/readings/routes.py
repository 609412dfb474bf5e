"""HTTP: what a terminal measured of itself, over any span, in as many steps as a chart has room for."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query

from cloud.api import TheCloud, View, problems, router
from cloud.clock import EPOCH
from cloud.forms import InstantUs
from cloud.readings import service
from cloud.security import Viewer
from cloud.terminals.routes import Id
from cloud.timeseries.port import Resolution

routes = router("/terminals", "terminals")

MetricName = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="As the profile names it.",
                                  examples=["cpu_percent"])]  # fmt: skip


class StepView(View):
    """What the metric was from `start_at` until the next step begins; steps without a sample are left out."""

    start_at: InstantUs
    count: int
    minimum: float
    mean: float
    maximum: float
    last: float


class ReadingsView(View):
    """At most 1,000 steps of `every_s` seconds, oldest first, from raw points or from hours or days.

    `unit` is a UCUM symbol. Where raw points of the span have expired, hours stand for them.
    """

    metric: str
    unit: str
    from_at: InstantUs
    until_at: InstantUs
    every_s: float
    resolution: Resolution
    steps: list[StepView]


@routes.get("/{terminal_id}/readings", responses=problems(404))
def get_readings(
    cloud: TheCloud,
    by: Viewer,
    terminal_id: Id,
    metric: MetricName,
    from_at: Annotated[InstantUs | None, Query(description="An hour before the end, without it.")] = None,
    until_at: Annotated[InstantUs | None, Query(description="Now, without it.")] = None,
) -> ReadingsView:
    """One of its health metrics over a span of at most 990 days."""
    until = until_at or cloud.clock()
    planned = service.plan(from_at or max(EPOCH, until - timedelta(hours=1)), until)
    with cloud.reading() as session:
        known = service.measured_by(session, by.scope, terminal_id)
    found = service.reading(cloud.timeseries, terminal_id, planned, known, metric)
    return ReadingsView(
        metric=metric,
        unit=found.told.unit,
        from_at=planned.from_at,
        until_at=planned.until_at,
        every_s=planned.every.total_seconds(),
        resolution=planned.resolution,
        steps=[StepView.model_validate(point) for point in found.points],
    )
