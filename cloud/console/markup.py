"""HTML from Python, escaped: what the widgets and pages write where nothing of NiceGUI's is needed.

Promises that a text never becomes markup: all but `Markup` is escaped (markupsafe).
"""

from collections.abc import Iterable

from markupsafe import Markup, escape

Content = str | Markup | Iterable["Content"] | None
"""What may stand in an element: text, markup, or several of them; None is nothing."""

VOID = frozenset({"input", "img", "hr", "br", "wbr", "meta", "link"})


def tag(element: str, /, *content: Content, **attributes: str | int | bool | None) -> Markup:
    """`<name …>content</name>`. Attributes: `class_`, `data_s` for `data-s`; None and False are left out."""
    said = [
        element,
        *(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False),
    ]
    opening = Markup("<" + " ".join(said) + ">")  # noqa: S704  - each part was escaped in _attribute
    if element in VOID:
        return opening
    return opening + join(*content) + Markup(f"</{element}>")  # noqa: S704  - names are literals of ours


def join(*content: Content) -> Markup:
    """The pieces one after the other, escaped."""
    found = Markup()
    for piece in content:
        if piece is None:
            continue
        found += escape(piece) if isinstance(piece, str) else join(*piece)
    return found


def _attribute(name: str, value: str | int | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    return name if value is True else f'{name}="{escape(str(value))}"'
