"""What long lists share: a search field that is answered by the server, pages by cursor, an address for each."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from markupsafe import Markup
from nicegui import ui
from nicegui.client import Client

from cloud.console.markup import Content, tag
from cloud.console.view import View
from cloud.console.widgets import button_link, none
from cloud.console.words import Words
from cloud.paging import Paging

PAGE = 50


def address(path: str, **query: str | None) -> str:
    """`path` with what is not empty of the query."""
    said = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(said)}" if said else path


def paging(cursor: str) -> Paging:
    """The page of an address."""
    return Paging(PAGE, cursor or None)


def pager(words: Words, path: str, cursor: str, next_cursor: str | None, **query: str | None) -> Markup | None:
    """Links to the first and the next page; None when there is only one."""
    if not cursor and next_cursor is None:
        return None
    first = button_link(address(path, **query), words("page.first")) if cursor else None
    more = button_link(address(path, cursor=next_cursor, **query), words("page.next")) if next_cursor else None
    return tag("nav", first, more, class_="rl-row rl-pager", aria_label=words("page.label"))


def nothing(words: Words, searched: bool, title: str, explained: str, *content: Content) -> Markup:
    """An empty list: because nothing matches, or because nothing is there yet."""
    if searched:
        return none(words("page.nothing_found"), words("page.nothing_found_more"))
    return none(title, explained, *content)


def searchable(view: View, label: str, value: str, path: str, show: Callable[[str], Awaitable[None]],
               **query: str | None) -> None:  # fmt: skip
    """A search field above a list: shows what matches while one types, and keeps the address in step."""
    client: Client = view.client

    async def search(text: str) -> None:
        await show(text)
        with client:
            ui.navigate.history.replace(address(path, search=text, **query))

    view.search_box(label, value, search)
