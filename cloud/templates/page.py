"""Console: templates, their settings in words, and the forms to make, change and take away one."""

from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.places import organisation_options, organisations_of, room_options, rooms_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, panel, table
from cloud.console.words import Words
from cloud.paging import Found
from cloud.scope import Scope
from cloud.templates import merging, service, setting_fields
from cloud.templates.models import Template
from cloud.templates.service import SettingsForm, TemplateForm
from cloud.templates.setting_fields import Places
from firmware_specs import profiles

PATH = "/templates"
EVERYWHERE = "everywhere"
RULES = 4


@dataclass(frozen=True)
class _Known:
    found: Found[Template]
    places: Places


def register(shell: Shell) -> None:
    """`/templates`."""

    @shell.page(PATH, "templates")
    async def listing(view: View, cursor: str = "") -> None:
        words = view.words

        def read(session: Session, scope: Scope) -> _Known:
            found = service.list_templates(session, scope, lists.paging(cursor))
            return _Known(found, service.place_names(session, [each.place for each in found.rows if each.place]))

        known = await view.read(read)
        add = button(words("templates.add"), "add", kind="main") if view.may(Role.OPERATOR) else None
        act = _Acts(view, known)
        view.html(head(view, words("nav.templates"), beside=add), on_act=act.do)
        with ui.element("div").classes("rl-grid"):
            view.html(_listing(view, known, cursor), slot="list", on_act=act.do).style("--c:8")
            rules = [tag("li", words(f"templates.rule_{number}")) for number in range(1, RULES + 1)]
            view.html(panel(words("templates.order"), tag("ul", rules, class_="rl-rules"))).style("--c:4")


def _listing(view: View, known: _Known, cursor: str) -> Markup:
    words, title = view.words, view.words("nav.templates")
    if not known.found.rows:
        return panel(title, lists.nothing(words, False, words("templates.none"), words("templates.none_more")))
    columns = [
        Column(words("templates.place"), "b"),
        Column(words("terminals.kind"), "nowrap", h=True),
        Column(words("templates.settings")),
    ]
    if view.may(Role.OPERATOR):
        columns.append(Column(words("members.do"), "num rl-fit"))
    rows = [_cells(words, each, known.places)[: len(columns)] for each in known.found.rows]
    pager = lists.pager(words, PATH, cursor, known.found.next_cursor)
    return panel(title, table(columns, rows, title), pager)


def _cells(words: Words, template: Template, places: Places) -> list[str | Markup]:
    edit = button(words("page.edit"), "edit", template.id)
    away = button(words("templates.away"), "away", template.id, kind="danger")
    kind = words(f"kind.{template.kind}") if template.kind else words("templates.all_kinds")
    return [
        _place(words, template, places),
        kind,
        _said(words, template),
        tag("span", edit, away, class_="rl-row rl-end"),
    ]


def _place(words: Words, template: Template, places: Places) -> str:
    return words.either(*places.get(template.place, ("–", "–"))) if template.place else words("templates.everywhere")


def _said(words: Words, template: Template) -> Markup:
    settings = merging.all_settings(template.kind)
    lines = [
        tag("div", words("fault.line", where=words.either(settings[name].zh, settings[name].en),
                         says=setting_fields.value_said(words, settings[name], value)))
        for name, value in template.settings.items() if name in settings
    ]  # fmt: skip
    return join(lines)


class _Acts:
    """What the page's buttons do; after each, the list is opened anew."""

    def __init__(self, view: View, known: _Known) -> None:
        self.view = view
        self.places = known.places
        self.rows = {each.id: each for each in known.found.rows}

    async def do(self, act: str, on: str) -> None:
        """`add`, or `edit` or `away` of a template."""
        if act == "add":
            await self._add()
        elif act == "edit":
            self._edit(self.rows[on])
        elif act == "away":
            self._away(self.rows[on])

    async def _add(self) -> None:
        view, words = self.view, self.view.words
        tree = organisation_options(view, await view.read(organisations_of))
        rooms = room_options(words, await view.read(rooms_of))
        everywhere = [(EVERYWHERE, words("templates.everywhere"))] if view.principal.scope.path == "/" else []
        kinds = [("", words("templates.all_kinds")), *((each, words(f"kind.{each}")) for each in profiles.NAMES)]
        settings = merging.all_settings(None)
        fields = join(
            dialogs.choice(words("templates.place"), "place", [*everywhere, *tree, *rooms]),
            dialogs.choice(words("terminals.kind"), "kind", kinds),
            setting_fields.fields(words, settings, {}, None, {}),
        )

        async def add(values: dict[str, str]) -> None:
            place = values.get("place", "")
            form = dialogs.filled(
                TemplateForm, organisation_id=place if place.startswith("org_") else None,
                room_id=place if place.startswith("rm_") else None, kind=values.get("kind") or None,
                settings=setting_fields.given(settings, values),
            )  # fmt: skip
            await view.write(Role.OPERATOR, lambda session, change, scope: service.create(session, change, scope, form))
            ui.navigate.to(view.here)

        dialogs.ask(
            view, words("templates.add"), fields, words("templates.add"), add, intro=words("templates.add_more")
        )

    def _edit(self, template: Template) -> None:
        view, words = self.view, self.view.words
        settings = merging.all_settings(template.kind)
        fields = setting_fields.fields(words, settings, template.settings, None, {})

        async def save(values: dict[str, str]) -> None:
            form = dialogs.filled(SettingsForm, settings=setting_fields.given(settings, values))
            await view.write(
                Role.OPERATOR,
                lambda session, change, scope: service.edit(
                    session, change, scope, template.id, template.version, form
                ),
            )
            ui.navigate.to(view.here)

        place = _place(words, template, self.places)
        dialogs.ask(view, words("templates.edit", place=place), fields, words("page.save"), save,
                    intro=words("templates.edit_more"))  # fmt: skip

    def _away(self, template: Template) -> None:
        view, words = self.view, self.view.words

        async def take_away(_values: dict[str, str]) -> None:
            await view.write(
                Role.OPERATOR,
                lambda session, change, scope: service.delete(session, change, scope, template.id, template.version),
            )
            ui.navigate.to(view.here)

        place = _place(words, template, self.places)
        dialogs.ask(view, words("templates.away_title", place=place), "", words("templates.away_it"), take_away,
                    intro=words("templates.away_more"), danger=True)  # fmt: skip
