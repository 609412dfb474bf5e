"""For machines that watch the service: does it run, can it work, how much does it do."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from cloud import schema
from cloud.api import TheCloud, problems
from cloud.database import transaction
from cloud.errors import StartError, Unavailable
from cloud.journal import projector
from cloud.metrics import SERIES_WAITING, TERMINALS, exposition
from cloud.notifications import metrics as told
from cloud.notifications import service as notifications
from cloud.scope import EVERYWHERE
from cloud.security import WholeViewer
from cloud.terminals import fleet

routes = APIRouter(tags=["health"], responses=problems(503))

Check = Callable[[], str | None]
"""Gives a sentence about what keeps the service from working, or None. `app.state.checks` holds them by name."""


class Healthy(BaseModel):
    """The process answers."""

    ok: bool = True


@routes.get("/healthz")
def healthz() -> Healthy:
    """The process runs. Asks nothing else, so that a database that is away gets nobody restarted."""
    return Healthy()


@routes.get("/readyz")
def readyz(request: Request, cloud: TheCloud) -> Healthy:
    """The database answers, its schema is this program's, and every part that runs here works."""
    with transaction(cloud.engine, read_only=True) as session:
        connection = session.connection()
        try:
            schema.check_connection(connection)
        except StartError as error:
            raise Unavailable(error.sentence, retry_after_s=5) from error
    checks: dict[str, Check] = request.app.state.checks
    wrong = [f"{name}: {sentence}" for name, check in checks.items() if (sentence := check())]
    if wrong:
        raise Unavailable("; ".join(wrong), retry_after_s=5)
    return Healthy()


@routes.get("/metrics", response_class=Response, responses=problems(401, 403))
def metrics(_by: WholeViewer, cloud: TheCloud) -> Response:
    """All counters in Prometheus' text form; the scraper sends a viewer's API token."""
    with cloud.reading() as session:
        counts = dict(fleet.summary(session, EVERYWHERE).presence)
        SERIES_WAITING.set(projector.waiting(session))
        waiting = notifications.counts(session, cloud.clock())
    told.WAITING.set(waiting.waiting)
    told.OVERDUE_S.set(waiting.overdue.total_seconds())
    told.DEAD.set(waiting.dead)
    for state in fleet.STATES:
        TERMINALS.labels(state).set(counts.get(state, 0))
    body, media_type = exposition()
    return Response(body, media_type=media_type)
