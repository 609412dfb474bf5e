"""A request's body, written to disk as it arrives, and gone when the request is answered; and what an import answers."""

import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import Request

from cloud.api import Cloud, FaultView, View
from cloud.errors import TooLarge


class CsvReport(View):
    """What an import did, or would do. Counts are exact; at most 1,000 problems, and as many rows, are listed."""

    encoding: str
    rows: int
    created: int
    updated: int
    unchanged: int
    problem_count: int
    problems: list[FaultView]


CSV_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}
}
"""The request's body in the API's description."""


def upload(max_bytes: int) -> Callable[[Request], AsyncIterator[Path]]:
    """A dependency that gives the body's path, in the data folder (a container's /tmp may be memory)."""

    async def uploaded(request: Request) -> AsyncIterator[Path]:
        cloud: Cloud = request.app.state.cloud
        folder = cloud.settings.data_dir / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="upload-") as file:
            taken = 0
            async for chunk in request.stream():
                taken += len(chunk)
                if taken > max_bytes:
                    raise TooLarge(f"The body has more than {max_bytes} bytes.")
                await to_thread.run_sync(file.write, chunk)
            await to_thread.run_sync(file.flush)
            yield Path(file.name)

    return uploaded
