"""The API's own description: completed for problems and sign-in, shown as a page and as docs/api.md.

The page is made here because FastAPI's own would load its scripts from another host.
"""

from typing import Any

import jinja2
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from cloud.api import Problem

DESCRIPTION = (
    "Everything the console shows, for programs. Send an API token as `Authorization: Bearer …`. Instants are "
    "integer microseconds since 1970-01-01T00:00:00Z. Errors are problems (RFC 9457). Edits need `If-Match` with "
    "the ETag that was read. Lists are paged: send `next_cursor` back as `cursor`."
)
METHODS = ("get", "post", "put", "patch", "delete")

routes = APIRouter(include_in_schema=False)


def complete(app: FastAPI) -> None:
    """Let `app.openapi()` also hold the problem's schema, and how to sign in."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update(problem.pop("$defs", {}), Problem=problem)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "roomlink_session"},
        "terminal": {"type": "http", "scheme": "basic"},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.setdefault(
                "security", [{"token": []}, {"session": []}] if "401" in operation["responses"] else []
            )
    return document


@routes.get("/api/v1/docs")
def docs(request: Request) -> HTMLResponse:
    """The API described for people, as one page."""
    return HTMLResponse(as_html(request.app.openapi()))


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every operation in the order of the routes, with the names of its parameters, bodies and answers."""
    return [
        _operation(path, method, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods
    ]


def as_markdown(document: dict[str, Any]) -> str:
    """docs/api.md."""
    return _render(_MARKDOWN, document)


def as_html(document: dict[str, Any]) -> str:
    """The page at /api/v1/docs."""
    return _render(_HTML, document)


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    bodies = operation.get("requestBody", {}).get("content", {})
    return {
        "path": path,
        "method": method.upper(),
        "tag": operation.get("tags", [""])[0],
        "says": " ".join(operation.get("description", operation.get("summary", "")).split()),
        "parameters": [
            {
                "name": each["name"],
                "in": each["in"],
                "required": each.get("required", False),
                "says": each.get("description", each["schema"].get("description", "")),
            }
            for each in operation.get("parameters", [])
        ],
        "bodies": [f"{kind}: {_type(content.get('schema', {}))}" for kind, content in bodies.items()],
        "answers": [(status, _answer(answer)) for status, answer in operation["responses"].items()],
    }


def _answer(answer: dict[str, Any]) -> str:
    types = [_type(content.get("schema", {})) for content in answer.get("content", {}).values()]
    return types[0] if types and types[0] != "Problem" else answer["description"]


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format", schema.get("type", "anything")))


def _render(source: str, document: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        autoescape=source is _HTML,  # noqa: S701  - Markdown is made of our own words
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in operations(document):
        groups.setdefault(each["tag"], []).append(each)
    schemas = {
        name: _fields(schema)
        for name, schema in sorted(document["components"]["schemas"].items())
        if schema.get("properties")
    }
    template = environment.from_string(source)
    return template.render(title=document["info"]["title"], about=DESCRIPTION, groups=groups, schemas=schemas)


def _fields(schema: dict[str, Any]) -> list[tuple[str, str, bool]]:
    required = schema.get("required", [])
    return [(name, _union(field), name in required) for name, field in schema["properties"].items()]


def _union(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if "enum" in field:
        return " or ".join(map(str, field["enum"]))
    return _type(field)


_MARKDOWN = """\
# The HTTP API

Generated by `python -m cloud openapi --markdown`; a test fails when it is stale.

{{ about }}

{% for tag, operations in groups.items() %}
## {{ tag }}

{% for each in operations %}
### `{{ each.method }} {{ each.path }}`

{{ each.says }}

{% for parameter in each.parameters %}
- `{{ parameter.name }}` ({{ parameter.in }}{{ ", required" if parameter.required }}) {{ parameter.says }}
{% endfor %}
{% for body in each.bodies %}
- body `{{ body }}`
{% endfor %}
- answers {% for status, says in each.answers %}`{{ status }}` {{ says.rstrip(".") }}{{ "; " if not loop.last }}{% endfor %}


{% endfor %}
{% endfor %}
## Bodies

{% for name, fields in schemas.items() %}
### {{ name }}

| field | type | required |
| --- | --- | --- |
{% for field, kind, required in fields %}
| `{{ field }}` | {{ kind }} | {{ "yes" if required else "" }} |
{% endfor %}

{% endfor %}
"""

_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} API</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 "Liberation Sans", Arial, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-top: 2px solid; padding-top: .5rem; margin-top: 2.5rem }
h3 { font: 700 1rem "Liberation Mono", monospace; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere }
table { border-collapse: collapse } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
</style>
</head>
<body>
<h1>{{ title }} API</h1>
<p>{{ about }} The same for programs: <a href="/api/v1/openapi.json">openapi.json</a>.</p>
{% for tag, operations in groups.items() %}
<h2>{{ tag }}</h2>
{% for each in operations %}
<h3>{{ each.method }} {{ each.path }}</h3>
<p>{{ each.says }}</p>
<table>
{% for parameter in each.parameters %}
<tr><td><code>{{ parameter.name }}</code></td><td>{{ parameter.in }}{{ ", required" if parameter.required }}</td>
<td>{{ parameter.says }}</td></tr>
{% endfor %}
{% for body in each.bodies %}<tr><td>body</td><td colspan="2">{{ body }}</td></tr>{% endfor %}
{% for status, says in each.answers %}<tr><td>{{ status }}</td><td colspan="2">{{ says }}</td></tr>{% endfor %}
</table>
{% endfor %}
{% endfor %}
<h2>Bodies</h2>
{% for name, fields in schemas.items() %}
<h3 id="{{ name }}">{{ name }}</h3>
<table>
{% for field, kind, required in fields %}
<tr><td><code>{{ field }}</code></td><td>{{ kind }}</td><td>{{ "required" if required }}</td></tr>
{% endfor %}
</table>
{% endfor %}
</body>
</html>
"""
