"""The running API asks for the roles of the one table: strangers get 401, who may less 403, whatever else is in the request."""

import pytest

from cloud.accounts.service import Role
from tests.office import Office
from tests.roles import API


def asked(needed: str) -> list[tuple[str, str]]:
    """Method and path of what needs this role."""
    found = [what.split() for what, rule in API.items() if rule.partition("-")[0] == needed]
    return [(method, path.replace("{", "").replace("}", "")) for method, path in found]


LESS = [(has, needed) for needed in Role for has in (None, *Role) if has is None or not has.includes(needed)]


@pytest.mark.parametrize(("has", "needed"), LESS)
def test_who_may_less_is_refused_by_every_route(office: Office, has: Role | None, needed: Role) -> None:
    with office.client(has) as client:
        answers = {(method, path): client.request(method, path).status_code for method, path in asked(needed)}
    assert len(answers) >= 10
    assert set(answers.values()) == {401 if has is None else 403}, answers
