"""Console: what a terminal has sent in, on its page: the newest picture of its own page, and logs to download."""

from collections.abc import Sequence

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.commands import uploads
from cloud.commands.models import Upload
from cloud.commands.service import Name
from cloud.commands.uploads import KEPT, Kind
from cloud.console.markup import tag
from cloud.console.view import View
from cloud.console.widgets import button, button_link, link, none, panel
from cloud.paging import Paging
from cloud.scope import Scope

Uploads = Sequence[Upload]


def newest(session: Session, scope: Scope, terminal_id: str, view: View) -> Uploads:
    """Those that the panel shows; none for who may not see them."""
    if not view.may(Role.OPERATOR):
        return ()
    return uploads.list_of(session, scope, terminal_id, Paging(KEPT * len(Kind)), view.now).rows


def panel_of(view: View, terminal_id: str, found: Uploads) -> Markup:
    """The panel; its button asks for a command, as those beside the commands do. Empty for who may not see it."""
    if not view.may(Role.OPERATOR):
        return Markup()
    words = view.words
    title, beside = words("command.uploads"), button(words("command.take_screenshot"), "command", Name.SCREENSHOT)
    if not found:
        return panel(title, none(words("command.uploads_none"), words("command.uploads_none_more")), beside=beside)
    pictures = [each for each in found if each.kind == Kind.SCREENSHOT]
    logs = [
        tag("li", button_link(_address(each), words("command.upload_log", time=words.minute(each.received_at),
                                                     n=-(-each.size // 1024)), download=True))
        for each in found
        if each.kind == Kind.LOGS
    ]  # fmt: skip
    shown = [_picture(view, terminal_id, pictures[0])] if pictures else []
    older = [
        tag("li", link(_address(each), words("command.upload_at", time=words.minute(each.received_at))))
        for each in pictures[1:]
    ]
    return panel(title, *shown, tag("ul", older, class_="t1") if older else None,
                 tag("ul", logs, class_="rl-plain") if logs else None, beside=beside)  # fmt: skip


def _picture(view: View, terminal_id: str, upload: Upload) -> Markup:
    words = view.words
    at = words.minute(upload.received_at)
    said = words("command.upload_picture", terminal=terminal_id, time=at)
    drawn = tag("img", src=_address(upload), alt=said, class_="rl-shot", loading="lazy")
    return tag(
        "figure", link(_address(upload), drawn), tag("figcaption", words("command.upload_at", time=at), class_="q t1")
    )


def _address(upload: Upload) -> str:
    return f"/api/v1/terminals/{upload.terminal_id}/uploads/{upload.command_id}"
