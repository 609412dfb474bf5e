"""HTTP: what terminals send in on a command, each by its own credential, and what operators fetch of it."""

from pathlib import Path as File
from typing import Annotated

from fastapi import Depends, Path, Response

from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.commands import uploads
from cloud.commands.uploads import Kind
from cloud.forms import InstantUs
from cloud.security import Operator, TerminalCredentials
from cloud.terminals import service as terminals
from cloud.uploads import upload

routes = router("/terminals/{terminal_id}/uploads", "commands")

TerminalPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]
CommandId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]


def the_terminal(cloud: TheCloud, asking: TerminalCredentials, terminal_id: TerminalPath) -> str:
    """The terminal itself. Asked before the body is taken: a stranger's is never written to the disk."""
    with cloud.reading() as session:
        return terminals.authenticate(session, terminal_id, *asking).id


TheTerminal = Annotated[str, Depends(the_terminal)]
Body = Annotated[File, Depends(upload(uploads.MOST_BYTES))]
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "security": [{"terminal": []}],
}


class UploadView(View):
    """What was sent in on a command; it is gone at `expires_at`, or when five newer ones of its kind have come."""

    command_id: str
    terminal_id: str
    kind: Kind
    media_type: str
    size: int
    received_at: InstantUs
    expires_at: InstantUs


@routes.put("/{command_id}", status_code=204, responses=problems(404, 409, 413), openapi_extra=BODY)
def send_upload(cloud: TheCloud, terminal: TheTerminal, command_id: CommandId, body: Body) -> Response:
    """The screenshot or the logs that a command asks for; for the terminal itself, by HTTP Basic. 1 MiB at most, logs 256 KiB."""
    content = body.read_bytes()
    with cloud.writing() as session:
        uploads.take_in(session, terminal, command_id, content, cloud.clock())
    return Response(status_code=204)


@routes.get("", responses=problems(404))
def list_uploads(cloud: TheCloud, by: Operator, terminal_id: TerminalPath, pages: Pages) -> PageOf[UploadView]:
    """What a terminal has sent in of late, newest first."""
    with cloud.reading() as session:
        found = uploads.list_of(session, by.scope, terminal_id, pages, cloud.clock())
        return PageOf[UploadView].of(found)


@routes.get(
    "/{command_id}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}, "image/jpeg": {}, "text/plain": {"schema": {"type": "string"}}}},
        **problems(404),
    },
)
def get_upload(cloud: TheCloud, by: Operator, terminal_id: TerminalPath, command_id: CommandId) -> Response:
    """One of them: a picture, or text to be kept as a file."""
    with cloud.reading() as session:
        found = uploads.get(session, by.scope, terminal_id, command_id, cloud.clock())
        content, media_type, kind = found.content, found.media_type, found.kind
    name = f"{terminal_id}-{command_id[:8]}.log"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'} if kind == Kind.LOGS else {}
    return Response(content, media_type=media_type, headers={"Cache-Control": "private, no-store", **headers})
