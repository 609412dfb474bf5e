"""A request's body, written to disk as it arrives, and gone when the request is answered."""

import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anyio import to_thread
from fastapi import Request

from cloud.api import Cloud
from cloud.errors import TooLarge


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
