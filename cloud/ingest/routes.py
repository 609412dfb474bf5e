"""HTTP: streams, what the reconciler finds about them, and the quarantine."""

import base64
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import PlainSerializer, WithJsonSchema

from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.forms import InstantUs
from cloud.ingest import reconcile
from cloud.ingest.reconcile import Verdict
from cloud.ingest.streams import list_streams
from cloud.paging import Found
from cloud.quarantine import service as quarantine
from cloud.quarantine.service import DiscardForm, State
from cloud.security import Operator, Viewer
from cloud.terminals.service import TerminalId

streams = router("/streams", "ingest")
reconciliation = router("/reconciliation", "ingest")
held = router("/quarantine", "quarantine")

OfTerminal = Annotated[TerminalId | None, Query(description="Only this terminal's.")]
HeldId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Bytes = Annotated[
    bytes,
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class StreamView(View):
    """How far a stream is stored. `parent_…` is the stream that it continues; `gap_…` what nobody has any more."""

    stream: str
    terminal_id: str
    through: int
    chain: str
    parent_stream: str | None
    parent_through: int | None
    gap_stream: str | None
    gap_first: int | None
    gap_last: int | None
    gap_reason: str | None
    opened_at: int
    last_stored_at: int
    said_through: int
    said_at: int


class ReconciledView(View):
    """A stream's records as each part counts them; null where a part cannot be asked, or has let go of old ones.

    `facts` ought to be in the ledger, and `ledger` are; `points`, of the days whose points are kept, ought to be in the
    time series, and `series` are.
    """

    stream: str
    terminal: str
    said: int
    stored: int
    journal: int | None
    facts: int
    ledger: int
    points: int
    series: int | None
    verdict: Verdict


class HeldView(View):
    """One thing in quarantine; `content` is its beginning."""

    id: int
    terminal_id: str
    stream: str | None
    number: int | None
    kind: str
    reason: str
    content: Bytes
    received_at: InstantUs
    state: State
    decided_by: str | None
    decided_at: InstantUs | None
    decision_reason: str | None


@streams.get("")
def get_streams(cloud: TheCloud, by: Viewer, pages: Pages, terminal_id: OfTerminal = None) -> PageOf[StreamView]:
    """Streams of terminals in your scope, by id."""
    with cloud.reading() as session:
        return PageOf[StreamView].of(list_streams(session, by.scope, pages, terminal_id=terminal_id))


@reconciliation.get("")
def get_reconciliation(
    cloud: TheCloud, by: Viewer, pages: Pages, terminal_id: OfTerminal = None
) -> PageOf[ReconciledView]:
    """The numbers of streams in your scope, counted now, by stream id."""
    days = cloud.settings.points_days
    kept = None if days is None else timedelta(days=days)
    with cloud.reading() as session:
        since_at = reconcile.window_start(Bulk.of(session), to_us(cloud.clock()), kept)
        found = list_streams(session, by.scope, pages, terminal_id=terminal_id)
        counted = reconcile.reconcile(session, [row.stream for row in found.rows], since_at)
    counted = reconcile.with_series(counted, cloud.timeseries, since_at)
    return PageOf[ReconciledView].of(Found(counted, found.next_cursor))


@held.get("")
def list_held(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    state: Annotated[State, Query(description="What was decided about it.")] = State.OPEN,
) -> PageOf[HeldView]:
    """What could not be understood, newest first."""
    with cloud.reading() as session:
        return PageOf[HeldView].of(quarantine.list_held(session, by.scope, pages, state=state))


@held.get("/{held_id}", responses=problems(404))
def get_held(cloud: TheCloud, by: Viewer, held_id: HeldId) -> HeldView:
    """One thing in quarantine."""
    with cloud.reading() as session:
        return HeldView.model_validate(quarantine.get(session, by.scope, held_id))


@held.post("/{held_id}/replay", responses=problems(404, 409))
def replay_held(cloud: TheCloud, by: Operator, held_id: HeldId) -> HeldView:
    """Try again to understand it, after the program was mended; 409 while it still cannot be."""
    with cloud.writing() as session:
        return HeldView.model_validate(quarantine.replay(session, cloud.change(by), by.scope, held_id))


@held.post("/{held_id}/discard", responses=problems(404, 409))
def discard_held(cloud: TheCloud, by: Operator, held_id: HeldId, form: DiscardForm) -> HeldView:
    """It is of no use; it stays in the list of what was decided, with your reason."""
    with cloud.writing() as session:
        return HeldView.model_validate(quarantine.discard(session, cloud.change(by), by.scope, held_id, form.reason))


routes = APIRouter()
for each in (streams, reconciliation, held):
    routes.include_router(each)
