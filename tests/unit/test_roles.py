"""Who may do what, in one table (tests/roles.py): a route, a page or an action of the console without a rule fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from cloud.app import ROUTES
from cloud.console.navigation import KEEP, PLACES, WATCH
from cloud.security import Rule, basic_credentials
from tests.roles import ACTIONS, API, PAGES

CLOUD: Final = Path(__file__).parents[2] / "cloud"
ASKS: Final = {"read", "write", "writing", "writable"}
OPENS_BY_ITSELF: Final = {"console/view.py", "console/live.py", "console/sign_in.py"}
"""Of the console, what may open a transaction without a role: the view itself, the shared poller, signing in."""


def test_every_route_names_the_role_of_the_table() -> None:
    assert set(routes()) == set(API.items())


def test_every_page_names_the_role_of_the_table() -> None:
    assert set(pages()) == set(PAGES.items())


def test_every_action_of_the_console_names_the_role_of_the_table() -> None:
    assert set(actions()) == set(ACTIONS.items())


def test_a_menu_shows_a_page_to_those_who_may_see_it() -> None:
    assert {
        place.path: f"{place.role}{'-whole' * place.whole}" for place in (*PLACES, *WATCH, *KEEP)
    }.items() <= PAGES.items()


def test_the_console_opens_no_transaction_but_through_its_view() -> None:
    opening = {
        path.relative_to(CLOUD).as_posix()
        for path in [*CLOUD.glob("console/*.py"), *CLOUD.glob("*/*page.py"), *CLOUD.glob("*/*dialog*.py")]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"reading", "writing"}
        and "cloud" in ast.unparse(node.value)
    }
    assert opening == OPENS_BY_ITSELF


def test_a_route_without_a_rule_is_noticed() -> None:
    router = APIRouter()
    router.add_api_route("/api/v1/forgotten", lambda: None, methods=["GET"])
    (route,) = _routes(router)
    assert rule_of(route) == "open"
    assert "GET /api/v1/forgotten" not in API


def rule_of(route: APIRoute) -> str:
    """What a route asks of its caller."""
    calls = list(_calls(route.dependant))
    rules = [call for call in calls if isinstance(call, Rule)]
    if basic_credentials in calls:
        return "terminal"
    if not rules:
        return "open"
    (rule,) = rules
    return f"{rule.role}{'-whole' * rule.whole}{'-confirmed' * rule.confirmed}{'-or-token' * rule.tokens}"


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def routes() -> Iterator[tuple[str, str]]:
    """Every route, as METHOD and path, and its rule."""
    for router in ROUTES:
        for route in _routes(router):
            for method in sorted(route.methods or ()):
                yield f"{method} {route.path}", rule_of(route)


def _routes(router: APIRouter) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            inner = getattr(route, "original_router", None)  # FastAPI keeps an included router as it is
            assert isinstance(inner, APIRouter), route
            yield from _routes(inner)


def pages() -> Iterator[tuple[str, str]]:
    """Every address of the console, and the role without which nothing of it is shown."""
    for path in sorted(CLOUD.glob("**/*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            for decorator in node.decorator_list if isinstance(node, ast.AsyncFunctionDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "shell.page":
                    asked = [call for _, call in _asked(node, ()) if _method(call) == "writable"]
                    address = ast.unparse(decorator.args[0])
                    yield str(eval(address, {}, names)), _role(asked[0]) if asked else "viewer"


def actions() -> Iterator[tuple[str, str]]:
    """Each function of the console that reads or changes through its View, and the role that it names there."""
    for path in sorted(CLOUD.glob("**/*.py")):
        if path.is_relative_to(CLOUD / "console") and path.name == "view.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for name, call in _asked(tree, ()):
            yield f"{path.relative_to(CLOUD).as_posix()} {name} {_method(call)}", _role(call)


def _asked(node: ast.AST, within: tuple[str, ...]) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and _method(child) in ASKS and _on_view(child):
            yield ".".join(within), child
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _asked(child, (*within, getattr(child, "name", "")) if named else within)


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _on_view(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in {"view", "self.view"}


def _role(call: ast.Call) -> str:
    """The role's name, as it is written; a read without one is for everybody who is signed in."""
    said = [ast.unparse(each) for each in (*call.args, *(keyword.value for keyword in call.keywords))]
    roles = [each.removeprefix("Role.").lower() for each in said if each.startswith("Role.")]
    assert len(roles) <= 1, said
    if not roles:
        return "viewer" if _method(call) == "read" else "none"
    asked = {each.arg for each in call.keywords}
    return roles[0] + "".join(f"-{each}" for each in ("whole", "confirmed") if each in asked)
