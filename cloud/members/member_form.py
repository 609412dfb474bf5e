"""Console: the fields of a member, for adding one and for editing one."""

from markupsafe import Markup

from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import organisation_options, organisations_of
from cloud.console.view import View
from cloud.members.service import MemberForm


async def member_fields(view: View, known: MemberForm | None = None) -> Markup:
    """Name, number, organisation; filled with what is known."""
    words = view.words
    places = organisation_options(view, await view.read(organisations_of))
    name, number, organisation = ("", "", "")
    if known is not None:
        name, number, organisation = known.display_name, known.external_id or "", known.organisation_id
    return join(
        dialogs.field(words("members.name"), "display_name", name, required=True, maxlength=120, autofocus=True),
        dialogs.field(words("members.external_id"), "external_id", number, maxlength=64,
                      hint=words("members.external_hint")),
        dialogs.choice(words("members.organisation"), "organisation_id", places, organisation),
    )  # fmt: skip


def member_form(values: dict[str, str]) -> MemberForm:
    """What was filled in. Invalid when it is not right."""
    return dialogs.filled(MemberForm, **{**values, "external_id": values.get("external_id") or None})
