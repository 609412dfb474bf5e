"""Console: the quarantine. Bytes are shown as text that cannot act; a decision needs a reason or a fix."""

import re

from markupsafe import Markup

from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, mono, note, pairs, panel, say, small, table
from cloud.console.words import Words
from cloud.errors import NotFound
from cloud.paging import Found
from cloud.quarantine import service
from cloud.quarantine.service import DiscardForm, Held, State

PATH = "/quarantine"
SHOWN_BYTES = 2048
REASONS = {
    "version": r"version",
    "utf8": r"UTF-8",
    "json": r"JSON|nested deeper",
    "cut": r"\bcut\b",
    "chain": r"chain|check",
    "count": r"\d+ lines|count",
    "large": r"bytes|too large|longer",
    "type": r"unknown.type|Input tag|type",
    "point": r"point|field|series",
}
"""The first that is found in the contract's reason names it in words."""

STATES = {State.OPEN: "warn", State.REPLAYED: "done", State.DISCARDED: "cancelled"}


def register(shell: Shell) -> None:
    """`/quarantine` and `/quarantine/{id}`."""

    @shell.page(PATH, "quarantine")
    async def listing(view: View, state: str = "open", cursor: str = "") -> None:
        words = view.words
        wanted = State(state) if state in set(State) else State.OPEN
        view.html(head(view, words("nav.quarantine")))
        view.html(_states(words, wanted))
        found = view.html(slot="list")
        shown = [-1]

        async def draw() -> None:
            rows = await view.read(lambda s, scope: service.list_held(s, scope, lists.paging(cursor), state=wanted))
            found.set_content(str(_listing(view, rows, wanted, cursor)))

        async def news() -> None:
            count = (await view.pulse()).frame.quarantined
            if count != shown[0]:
                shown[0] = count
                await draw()

        await draw()
        view.keep_live(news)

    @shell.page(PATH + "/{held_id}", "quarantine")
    async def detail(view: View, held_id: str) -> None:
        if not held_id.isdecimal() or len(held_id) > 18:
            raise NotFound(f"There is nothing {held_id[:40]} in quarantine.", code="not_held", id=held_id[:40])
        await _Detail(view, int(held_id)).show()


def _states(words: Words, wanted: State) -> Markup:
    links = [
        tag("a", words(f"quarantine.{each}"), href=lists.address(PATH, state=each), class_="rl-btn",
            aria_current="true" if each is wanted else None)
        for each in State
    ]  # fmt: skip
    return tag("div", links, class_="rl-row rl-tools")


def _listing(view: View, found: Found[Held], wanted: State, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, False, words(f"quarantine.none_{wanted}"), words("quarantine.none_more"))
    columns = (
        Column(words("quarantine.when"), "rl-fit"),
        Column(words("quarantine.terminal")),
        Column(words("quarantine.kind"), "lo"),
        Column(words("quarantine.reason")),
        Column(words("quarantine.record"), "lo num"),
        Column(words("members.do"), "num"),
    )
    rows = [
        [words.clock(row.received_at), link(f"/terminals/{row.terminal_id}", row.terminal_id),
         words.known(f"quarantine.kind_{row.kind}", row.kind), why(words, row.reason),
         words.number(row.number) if row.number is not None else "–",
         link(f"{PATH}/{row.id}", words("quarantine.look"), class_="b")]
        for row in found.rows
    ]  # fmt: skip
    pager = lists.pager(words, PATH, cursor, found.next_cursor, state=wanted)
    return join(table(columns, rows, words("nav.quarantine")), pager)


class _Detail:
    """One thing in quarantine."""

    def __init__(self, view: View, held_id: int) -> None:
        self.view = view
        self.id = held_id

    async def show(self) -> None:
        """Build the page."""
        self.all = self.view.html(on_act=self._act)
        await self._read()

    async def _read(self) -> None:
        held = await self.view.read(lambda session, scope: service.get(session, scope, self.id))
        words = self.view.words
        open_still = held.state is State.OPEN and self.view.may(Role.OPERATOR)
        again = button(words("quarantine.replay"), "replay") if held.kind != "payload" else None
        discard = button(words("quarantine.discard"), "discard", kind="danger")
        actions = join(again, discard) if open_still else None
        above = link(PATH, words("nav.quarantine"))
        title = words("quarantine.title", id=str(held.id))
        columns = tag("div", tag("div", _bytes(words, held), style="--c:8"),
                      tag("div", _about(words, held), style="--c:4"), class_="rl-grid")  # fmt: skip
        self.all.set_content(str(join(head(self.view, title, above=above, beside=actions), columns)))

    async def _act(self, act: str, _on: str) -> None:
        if act == "replay":
            await self.view.write(
                Role.OPERATOR, lambda session, change, scope: service.replay(session, change, scope, self.id)
            )
            await self._read()
        elif act == "discard":
            self._discard()

    def _discard(self) -> None:
        words = self.view.words
        fields = dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500,
                               autofocus=True)  # fmt: skip

        async def discard(values: dict[str, str]) -> None:
            form = dialogs.filled(DiscardForm, **values)
            await self.view.write(
                Role.OPERATOR,
                lambda session, change, scope: service.discard(session, change, scope, self.id, form.reason),
            )
            await self._read()

        dialogs.ask(self.view, words("quarantine.discard_title"), fields, words("quarantine.discard_it"), discard,
                    danger=True, intro=words("quarantine.discard_more"))  # fmt: skip


def why(words: Words, reason: str) -> str:
    """The contract's reason, which is English and exact, as a person would say it."""
    key = next((key for key, pattern in REASONS.items() if re.search(pattern, reason)), "contract")
    return words(f"quarantine.why_{key}")


def _about(words: Words, held: Held) -> Markup:
    rows: list[tuple[str, str | Markup]] = [
        (words("quarantine.state"), say(STATES[held.state], words(f"quarantine.{held.state}"))),
        (words("quarantine.terminal"), link(f"/terminals/{held.terminal_id}", held.terminal_id)),
        (words("quarantine.when"), words.clock(held.received_at)),
        (words("quarantine.kind"), words.known(f"quarantine.kind_{held.kind}", held.kind)),
        (words("quarantine.reason"), why(words, held.reason)),
        (words("quarantine.exactly"), tag("span", held.reason, class_="mono rl-why", lang="en")),
    ]
    if held.stream is not None:
        rows.append((words("terminal.stream"), mono(f"{held.stream[:8]}…")))
    if held.number is not None:
        rows.append((words("quarantine.record"), words.number(held.number)))
    if held.decided_at is not None:
        rows.append((words("quarantine.decided"), f"{held.decided_by} · {words.minute(held.decided_at)}"))
    if held.decision_reason:
        rows.append((words("members.reason"), held.decision_reason))
    return panel(words("quarantine.about"), pairs(rows))


def _bytes(words: Words, held: Held) -> Markup:
    shown = held.content[:SHOWN_BYTES]
    text = tag("pre", printable(shown), class_="rl-bytes mono", tabindex=0, aria_label=words("quarantine.as_text"))
    dump = tag("pre", hex_lines(shown), class_="rl-bytes mono", tabindex=0, aria_label=words("quarantine.as_hex"))
    hexes = tag("details", tag("summary", words("quarantine.as_hex"), class_="t1"), dump, class_="rl-data")
    size = small(words("quarantine.size", n=len(held.content)))
    key = "kept" if held.kind == "record" else "not_kept"
    kept = note("info", words(f"quarantine.{key}"), words(f"quarantine.{key}_more"))
    return panel(words("quarantine.bytes"), text, hexes, kept, beside=size)


def printable(content: bytes) -> str:
    """The bytes as text; what cannot be printed, or would reorder the text, is a middle dot."""
    text = content.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)


def hex_lines(content: bytes) -> str:
    """Sixteen bytes a line: place, hexadecimal, ASCII."""
    lines = []
    for at in range(0, len(content), 16):
        part = content[at : at + 16]
        ascii_ = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        lines.append(f"{at:06x}  {part.hex(' '):<47}  {ascii_}")
    return "\n".join(lines)
