"""Every feature's pages, in one list: the way from an address to the function that builds it is `page.py` of its feature."""

from collections.abc import Callable

from cloud.console.shell import Shell
from cloud.members import page as members
from cloud.overview import page as overview

PAGES: tuple[Callable[[Shell], None], ...] = (overview.register, members.register)
