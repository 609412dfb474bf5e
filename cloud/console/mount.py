"""Puts the console on the application: assets, sign-in, preferences, NiceGUI and every feature's pages.

Called by `create_app`. NiceGUI is one per process: of several applications made, the last one's pages are shown, so
tests of the console run real processes.
"""

import hashlib
from pathlib import Path

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as RequestScope

from cloud.api import Cloud
from cloud.console.live import Live
from cloud.console.preferences import preference_routes
from cloud.console.shell import ASSETS, Shell
from cloud.console.sign_in import sign_in_routes
from cloud.overview.service import Overview

STYLES = ("tokens.css", "components.css", "console.css")
RECONNECT_S = 30.0
"""How long a page that lost its connection is kept, so that a short cut of the network loses nothing."""


def mount_console(app: FastAPI, cloud: Cloud) -> None:
    """Serve the console under `/`. Routes of `app` that come first stay in front."""
    from cloud.console.pages import PAGES

    live = Live(cloud, Overview().pulse)
    shell = Shell(cloud, live)
    for register in PAGES:
        register(shell)
    app.mount("/assets", Assets(directory=ASSETS), name="assets")
    app.include_router(preference_routes())
    app.include_router(sign_in_routes(cloud, head_html()))
    ui.add_head_html(head_html(), shared=True)
    nicegui_app.on_startup(live.start)
    nicegui_app.on_shutdown(live.stop)
    nicegui_app.config.quasar_config["loadingBar"]["skipHijack"] = True  # pages tell their own progress, in words
    ui.run_with(
        app,
        title="Roomlink",
        favicon=ASSETS / "favicon.svg",
        reconnect_timeout=RECONNECT_S,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,  # the gate must see a page to give its scripts their nonce
        tailwind=False,
        show_welcome_message=False,
        message_history_length=200,
    )


def head_html() -> str:
    """Style sheets and script, with their hashes so that a new release is never mixed with a cached one."""
    links = [f'<link rel="stylesheet" href="/assets/{name}?{_version(ASSETS / name)}">' for name in STYLES]
    script = f'<script type="module" src="/assets/console.js?{_version(ASSETS / "console.js")}"></script>'
    return "\n".join([*links, script])


def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


class Assets(StaticFiles):
    """Files that are cached by the version in their address."""

    async def get_response(self, path: str, scope: RequestScope) -> Response:
        """The file, to be kept for a year when a version was asked for."""
        response = await super().get_response(path, scope)
        if scope.get("query_string"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
