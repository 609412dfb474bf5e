"""Wires the cloud's HTTP side: gate, routes, problems, health. The one module that names every feature's routes.

`create_app` is called by `python -m cloud serve` and by tests; it opens nothing until the application starts.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from cloud import health, openapi
from cloud.accounts import routes as accounts
from cloud.accounts import service as accounts_service
from cloud.accounts import sessions
from cloud.accounts.service import Principal
from cloud.activities import routes as activities
from cloud.alarms import routes as alarms
from cloud.alarms import rule_routes as alarm_rules
from cloud.api import Cloud, answer_problems, no_timeseries
from cloud.attendance import routes as attendance
from cloud.audit import routes as audit
from cloud.certificates import routes as certificates
from cloud.checkins import routes as checkins
from cloud.clock import Clock, utc_now
from cloud.commands import routes as commands
from cloud.commands import upload_routes
from cloud.credentials import routes as credentials
from cloud.database import create_engine_for
from cloud.errors import NotFound
from cloud.guard import Guard, Identify, Policy
from cloud.ingest import routes as ingest
from cloud.members import routes as members
from cloud.metrics import Measured
from cloud.notifications import routes as notifications
from cloud.organisations import routes as organisations
from cloud.readings import routes as readings
from cloud.rooms import routes as rooms
from cloud.settings import Settings
from cloud.templates import routes as templates
from cloud.terminals import import_routes, twin_routes, view_routes
from cloud.terminals import routes as terminals
from cloud.timeline import routes as timeline
from cloud.timeseries.port import Timeseries

WhileRunning = Callable[[Cloud], AbstractContextManager[None]]
"""Something that runs beside the requests, between start and end of the application."""

FEATURES: tuple[APIRouter, ...] = (
    organisations.routes,
    rooms.routes,
    members.routes,
    credentials.routes,
    activities.routes,
    attendance.routes,
    checkins.routes,
    ingest.routes,
    import_routes.routes,
    terminals.routes,
    twin_routes.routes,
    view_routes.routes,
    templates.routes,
    timeline.routes,
    readings.routes,
    commands.routes,
    alarms.routes,
    alarm_rules.routes,
    notifications.routes,
    upload_routes.routes,
    certificates.routes,
    certificates.enrolment,
    accounts.routes,
    audit.routes,
)
ROUTES = (*FEATURES, health.routes, openapi.routes)


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    clock: Clock = utc_now,
    while_running: Sequence[WhileRunning] = (),
    timeseries: Callable[[], Timeseries] = no_timeseries,
    console: bool = False,
) -> FastAPI:
    """The application. `engine` is the caller's to dispose of; without one, the settings' is opened and closed.

    With `console`, also the operators' screens, of which a process can have one (cloud.console.mount).
    """
    cloud = Cloud(engine or create_engine_for(settings.ledger_url()), settings, clock, timeseries)
    app = FastAPI(
        title="Roomlink",
        version="1",
        lifespan=_lifespan(cloud, while_running, own_engine=engine is None),
        docs_url=None,  # its page loads scripts from another host; ours is /api/v1/docs
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        generate_unique_id_function=lambda route: route.name,
        description=openapi.DESCRIPTION,
    )
    app.state.cloud = cloud
    app.state.checks = {}
    for routes in (*ROUTES, no_such_route):
        app.include_router(routes)
    answer_problems(app)
    openapi.complete(app)
    if console:
        from cloud.console.mount import mount_console  # NiceGUI takes time and memory that the API alone needs not

        mount_console(app, cloud)
    policy = Policy(public_url=settings.public_url, long_bodies=("/api/v1/members/import", "/api/v1/terminals/import"))
    app.add_middleware(Guard, identify=identifier(cloud), policy=policy, note_use=cloud.note_use)
    app.add_middleware(Measured)
    return app


def _lifespan(
    cloud: Cloud, while_running: Sequence[WhileRunning], *, own_engine: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What begins and ends with the application, in a thread: each may wait for a database."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        stack = ExitStack()
        try:
            for begin in while_running:
                await run_in_threadpool(stack.enter_context, begin(cloud))
            yield
        finally:
            await run_in_threadpool(stack.close)
            if own_engine:
                cloud.engine.dispose()

    return lifespan


no_such_route = APIRouter(include_in_schema=False)


@no_such_route.api_route("/api/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def unknown_address(request: Request, rest: str) -> None:
    """What lies under `/api` and is none of ours is a problem, and never a page of the console, which is mounted at `/`."""
    allowed = {
        method
        for routes in ROUTES
        for route in routes.routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is Match.PARTIAL
        for method in route.methods or ()
    }
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
    raise NotFound(f"There is nothing at /api/{rest[:80]}.")


def identifier(cloud: Cloud) -> Identify:
    """Finds the Principal of a cookie or a token; a token that is sent counts, and no cookie beside it."""

    def identify(cookie: str | None, token: str | None) -> Principal | None:
        with cloud.reading() as session:
            if token is not None:
                return accounts_service.principal_of_token(session, token, cloud.clock())
            return sessions.principal_of_session(session, cookie or "", cloud.clock())

    return identify
