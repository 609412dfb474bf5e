"""Console: one date of an activity, with its attendance as it comes in."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import activity_dialogs, repeating, service
from cloud.activities.models import Activity
from cloud.attendance import service as attendance
from cloud.attendance.service import CorrectionForm, CorrectionKind
from cloud.checkins import service as checkins
from cloud.checkins.service import Seen, Tally
from cloud.console import charts, dialogs, facts
from cloud.console.markup import join, tag
from cloud.console.refusals import refuse
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import (
    Column,
    Event,
    Row,
    button,
    chip,
    link,
    none,
    panel,
    plate,
    say,
    small,
    table,
    tile,
    tiles,
    timeline,
)
from cloud.console.words import Words
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.overview import positions
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import fleet

SHOWN = 50
EVERY_S = 10.0
PATH = "/activities"


def register(shell: Shell) -> None:
    """`/activities/{id}/{start}`."""

    @shell.page(PATH + "/{activity_id}/{start}", "activities")
    async def occurrence(view: View, activity_id: str, start: str) -> None:
        await _Occurrence(view, f"{activity_id}/{start}").show()


def state(words: Words, starts_at: datetime, ends_at: datetime, cancelled: bool, now: datetime, *,
          chipped: bool = True) -> Markup:  # fmt: skip
    """Whether it is cancelled, to come, on, or over."""
    shown = chip if chipped else say
    if cancelled:
        return shown("cancelled", words("activities.cancelled"))
    if now < starts_at:
        return shown("queued", words("activities.to_come"))
    if now < ends_at:
        return shown("running", words("activities.on"))
    return shown("done", words("activities.over"))


@dataclass(frozen=True)
class _Corrected:
    kind: str
    who: str
    member: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class _Known:
    activity: Activity
    room: str
    organisation: tuple[str, str]
    title: tuple[str, str]
    starts_at: datetime
    ends_at: datetime
    cancelled: bool
    audience: list[tuple[str, str]]
    here: int
    seen: list[Seen]
    older: bool
    tally: Tally
    waiting: int
    is_silent: bool
    corrections: list[_Corrected]

    def over(self, now: datetime) -> bool:
        """Whether there is nothing left to cancel."""
        return self.cancelled or self.ends_at <= now


def _known(session: Session, scope: Scope, occurrence_id: str) -> _Known:
    occurrence = service.get_occurrence(session, scope, occurrence_id)
    activity = service.get(session, scope, occurrence.activity_id)
    names = organisations.names(session, [occurrence.organisation_id, *activity.audience])
    waiting, is_silent = _on_kiosks(session, occurrence.room_id, occurrence.starts_at)
    seen = checkins.of_occurrence(session, scope, occurrence_id, SHOWN + 1)
    return _Known(
        activity=activity,
        room=rooms.plates(session, [occurrence.room_id]).get(occurrence.room_id, ""),
        organisation=names.get(occurrence.organisation_id, ("", "")),
        title=(activity.title, activity.title_en),
        starts_at=occurrence.starts_at,
        ends_at=occurrence.ends_at,
        cancelled=occurrence.cancelled_at is not None,
        audience=[names[each] for each in activity.audience if each in names],
        here=attendance.counts(session, [occurrence_id]).get(occurrence_id, 0),
        seen=seen[:SHOWN],
        older=len(seen) > SHOWN,
        tally=checkins.tally(session, scope, occurrence_id),
        waiting=waiting,
        is_silent=is_silent,
        corrections=_corrections(session, scope, occurrence_id),
    )


def _on_kiosks(session: Session, room_id: str, starts_at: datetime) -> tuple[int, bool]:
    """How many records wait on the room's kiosks, and whether one that has ever sent any may hold more than it has said."""
    kiosks = fleet.holders(session, room_id, starts_at)
    counts = {each: count for each, (_, count) in positions.waiting_by_terminal(session, list(kiosks)).items()}
    away = [each for each in counts if not kiosks[each].is_connected]
    return sum(counts.values()), any(counts[each] or kiosks[each].stood_there for each in away)


def _corrections(session: Session, scope: Scope, occurrence_id: str) -> list[_Corrected]:
    found = attendance.corrections(session, scope, Paging(20), occurrence_id=occurrence_id).rows
    names = members.names(session, {each.member_id for each in found if each.member_id})
    return [
        _Corrected(each.kind, each.who, names.get(each.member_id or "", ""), each.reason, each.created_at)
        for each in found
    ]


class _Occurrence:
    """One date's page."""

    def __init__(self, view: View, occurrence_id: str) -> None:
        self.view = view
        self.id = occurrence_id
        self.find = ""
        self.newest = 0

    async def show(self) -> None:
        """Build it, and keep it live."""
        view = self.view
        self.top = view.html(on_act=self._act)
        with ui.element("div").classes("rl-grid"):
            self.numbers = view.html(slot="tiles")
            with ui.element("section").classes("rl-panel").style("--c:8"):
                with ui.element("header"):
                    view.html(tag("h2", view.words("occurrence.attendance")), classes="rl-h")
                    view.search_box(view.words("occurrence.find"), "", self._search)
                self.list = view.html(slot="attendance")
            with ui.element("div").classes("rl-stack").style("--c:4"):
                self.arrivals = view.html(slot="arrivals")
                self.corrections = view.html(slot="corrections", on_act=self._act)
        await self._read()
        view.keep_live(self._news)
        view.keep_live(view.at_most_every(EVERY_S, self._read))

    async def _news(self) -> None:
        """Read again when something new came to this date; what else changes is read every so often."""
        pulse = await self.view.pulse()
        newest = max((seen.id for seen in pulse.check_ins if seen.occurrence_id == self.id), default=0)
        if newest > self.newest or pulse.newest_check_in > self.newest + 200:
            await self._read()

    async def _read(self) -> None:
        before = self.newest
        self.known = await self.view.read(lambda session, scope: _known(session, scope, self.id))
        self.newest = max((seen.id for seen in self.known.seen), default=0)
        self._draw(before)

    def _search(self, text: str) -> None:
        self.find = text.strip().casefold()
        self._draw(self.newest)

    def _draw(self, before: int) -> None:
        words, known = self.view.words, self.known
        self.top.set_content(str(self._head(words, known)))
        self.numbers.set_content(str(_tiles(words, known)))
        self.list.set_content(str(self._list(words, known, before)))
        counts = [(words.hour(at), count) for at, count in known.tally.by_five_minutes]
        drawn = charts.bars(words, words("occurrence.arrivals"), counts) if counts else none(
            words("occurrence.arrivals_none"), words("occurrence.arrivals_none_more"))  # fmt: skip
        beside = small(words("occurrence.arrivals_per"))
        self.arrivals.set_content(str(panel(words("occurrence.arrivals"), drawn, beside=beside)))
        self.corrections.set_content(str(self._corrections(words, known)))

    def _head(self, words: Words, known: _Known) -> Markup:
        may = self.view.may(Role.ORGANISER)
        actions = join(
            button(words("occurrence.edit"), "edit") if known.activity.cancelled_at is None else None,
            button(words("occurrence.cancel"), "cancel", kind="danger") if not known.over(self.view.now) else None,
            button(words("occurrence.check_in"), "add", kind="main") if not known.cancelled else None,
        ) if may else None  # fmt: skip
        above = join(link(PATH, words("nav.activities")), " / ", words.either(*known.organisation))
        title = words.either(*known.title)
        top = head(self.view, title, above=above, before=plate(known.room), beside=actions)
        for_whom = ", ".join(words.either(*each) for each in known.audience) or words("occurrence.everybody")
        live = tag("span", facts.live_mark(words, self.view.live.read_at, self.view.live.failing), class_="rl-push")
        under = tag(
            "p", state(words, known.starts_at, known.ends_at, known.cancelled, self.view.now),
            tag("b", words.span(known.starts_at, known.ends_at)),
            tag("span", words("occurrence.about", day=words.day(known.starts_at), who=for_whom), class_="q"),
            self._rule(words, known.activity), live, class_="rl-row rl-under",
        )  # fmt: skip
        return join(top, under)

    def _rule(self, words: Words, activity: Activity) -> Markup | None:
        """How it repeats, in words; the rule itself behind them."""
        said = repeating.said(words, activity.rrule, repeating.local(activity.starts_at, activity.timezone))
        return tag("span", f"· {said}", class_="q", title=activity.rrule) if said else None

    def _list(self, words: Words, known: _Known, before: int) -> Markup:
        seen = [each for each in known.seen if self.find in facts.who(words, each).casefold()]
        shown = tag("p", small(_shown(words, known, len(seen), bool(self.find))), style="padding-top:12px")
        if not seen:
            if self.find:
                return join(none(words("page.nothing_found"), words("page.nothing_found_more")), shown)
            return none(words("occurrence.none"), words("occurrence.none_more"))
        columns = (
            Column(words("members.when"), "rl-fit"),
            Column(words("occurrence.member")),
            Column(words("members.how"), "lo"),
            Column(words("occurrence.outcome")),
            Column(words("occurrence.evidence"), "lo"),
            Column(words("occurrence.note"), "lo q"),
        )
        rows = [_row(words, each, each.id > before > 0) for each in seen]
        return join(table(columns, rows, words("occurrence.attendance")), shown)

    def _corrections(self, words: Words, known: _Known) -> Markup:
        title = words("occurrence.corrections")
        write = button(words("occurrence.correct"), "remove") if self.view.may(Role.ORGANISER) else None
        if not known.corrections:
            explained = words("occurrence.corrections_more")
            return panel(
                title, none(words("occurrence.corrections_none"), explained, tag("p", write, style="padding-top:12px"))
            )
        events = [
            Event("differ", words.known(f"occurrence.{each.kind}", each.kind) + f" {each.member}", words.minute(each.at),
                  f"{each.who}: {each.reason}")
            for each in known.corrections
        ]  # fmt: skip
        return panel(title, timeline(events), tag("p", write))

    async def _act(self, act: str, _on: str) -> None:
        if act == "edit":
            await activity_dialogs.edit(self.view, self.known.activity, self.id)
        elif act == "cancel":
            activity_dialogs.cancel(self.view, self.known.activity, self.id, self._read)
        elif act in {"add", "remove"}:
            await self._correct(CorrectionKind.ADD if act == "add" else CorrectionKind.REMOVE)

    async def _correct(self, kind: CorrectionKind) -> None:
        """Somebody who was there and has no record; or a record that is wrong."""
        words = self.view.words
        fields = join(
            dialogs.field(words("occurrence.who"), "who", required=True, maxlength=120, autofocus=True,
                          hint=words("occurrence.who_hint")),
            dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500),
        )  # fmt: skip

        async def correct(values: dict[str, str]) -> None:
            member_id = await self.view.read(lambda session, scope: _one(session, scope, values.get("who", ""), words))
            form = dialogs.filled(CorrectionForm, kind=kind, occurrence_id=self.id, member_id=member_id,
                                  reason=values.get("reason", ""))  # fmt: skip
            await self.view.write(
                Role.ORGANISER, lambda session, change, scope: attendance.correct(session, change, scope, form)
            )
            await self._read()

        key = "check_in" if kind is CorrectionKind.ADD else "remove"
        dialogs.ask(self.view, words(f"occurrence.{key}"), fields, words(f"occurrence.{key}_it"), correct,
                    intro=words(f"occurrence.{key}_more"))  # fmt: skip


def _one(session: Session, scope: Scope, who: str, words: Words) -> str:
    """The id of the one member whose name or number is `who`. Invalid when there is none or there are several."""
    found = members.list_members(session, scope, Paging(20), search=who.strip()).rows
    exact = [each for each in found if who.strip() in {each.display_name, each.external_id}]
    candidates = exact or list(found)
    if len(candidates) != 1:
        raise refuse(words, "occurrence.who_several" if candidates else "occurrence.who_nobody", n=len(candidates))
    return candidates[0].id


def _row(words: Words, seen: Seen, fresh: bool) -> Row:
    person: str | Markup = facts.who(words, seen)
    if seen.member_id:
        person = link(f"/members/{seen.member_id}", person, class_="rl-quiet")
    notes = []
    if seen.waits:
        notes.append(words("occurrence.not_registered"))
    if seen.uncertainty_us >= 60_000_000:
        notes.append(words("occurrence.estimated", n=seen.uncertainty_us // 60_000_000))
    cells = [words.clock(seen.at), tag("b", person), words.known(f"method.{seen.method}", seen.method),
             facts.outcome(words, seen), facts.reached(words, seen), " · ".join(notes)]  # fmt: skip
    return Row(cells, fresh=fresh)


def _tiles(words: Words, known: _Known) -> Markup:
    return tiles(
        tile(words("occurrence.here"), words.number(known.here), words("occurrence.here_why")),
        tile(words("occurrence.guests"), words.number(known.tally.guests), words("occurrence.guests_why")),
        tile(words("occurrence.waits"), words.number(known.tally.waiting), words("occurrence.waits_why")),
        tile(words("occurrence.kiosk"), _waiting(words, known), words("occurrence.kiosk_why")),
    )


def _waiting(words: Words, known: _Known) -> str:
    """Of a room with a kiosk that is away it is the least that there can be."""
    if not known.is_silent:
        return words.number(known.waiting)
    return words("terminals.at_least", n=known.waiting) if known.waiting else words("terminals.waiting_unknown")


def _shown(words: Words, known: _Known, count: int, searched: bool) -> str:
    """How many of how many check-ins are in the list, and whether there are older ones."""
    if searched:
        key = "found_newest" if known.older else "found"
        return words(f"occurrence.{key}", n=count, of=len(known.seen))
    return words("occurrence.newest" if known.older else "occurrence.all", n=count)
