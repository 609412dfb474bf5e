"""Settings by environment and file, and documents that are generated from the code."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from cloud.app import create_app
from cloud.database import create_engine_for
from cloud.errors import CloudError, Fault, Invalid, StartError, TooOften, Unauthenticated, problem, problem_headers
from cloud.logs import start_logging
from cloud.openapi import as_markdown, operations
from cloud.settings import Settings, describe, load_settings, settings_markdown, unknown_variables, variable

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [variable(field) for field in Settings.model_fields] + ["ROOMLINK_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def test_environment_comes_before_secret_file_before_config_before_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config, secret = tmp_path / "roomlink.toml", tmp_path / "secret"
    config.write_text('port = 1001\nissuer = "TOWN"\nmqtt_password = "from-config"\n')
    secret.write_text("from-file\n")
    monkeypatch.setenv("ROOMLINK_CONFIG", str(config))
    monkeypatch.setenv("ROOMLINK_MQTT_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("ROOMLINK_PORT", "1002")
    settings = load_settings()
    assert (settings.port, settings.issuer, settings.host) == (1002, "TOWN", "127.0.0.1")
    assert settings.mqtt_password is not None
    assert settings.mqtt_password.get_secret_value() == "from-file"
    sources = {line.name: line.source for line in describe(settings)}
    assert sources["ROOMLINK_PORT"] == "environment"
    assert sources["ROOMLINK_MQTT_PASSWORD"] == "secret file"
    assert sources["ROOMLINK_ISSUER"] == str(config)
    assert sources["ROOMLINK_HOST"] == "default"


def test_the_database_password_goes_into_the_address_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINK_DATABASE_URL", "postgresql://roomlink@db/roomlink")
    monkeypatch.setenv("ROOMLINK_DATABASE_PASSWORD", "p@ss/word")
    settings = load_settings()
    assert settings.ledger_url() == "postgresql://roomlink:p%40ss%2Fword@db/roomlink"
    assert "p@ss" not in repr(settings)
    assert "p@ss" not in str(describe(settings))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ROOMLINK_PORT", "0", "an example is ROOMLINK_PORT=8080"),
        ("ROOMLINK_ISSUER", "much too long", "an example is ROOMLINK_ISSUER=CITYHALL"),
        ("ROOMLINK_LOG_LEVEL", "loud", "an example is ROOMLINK_LOG_LEVEL=info"),
        ("ROOMLINK_DATABASE_URL", "://", "an example is sqlite:///"),
    ],
)
def test_a_wrong_setting_is_named_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartError) as refused:
        load_settings()
    assert refused.value.sentence.startswith(name)
    assert says in refused.value.sentence


@pytest.mark.parametrize(("text", "says"), [("prot = 1\n", "prot in"), ("port = \n", "cannot be read")])
def test_a_wrong_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "roomlink.toml"
    config.write_text(text)
    monkeypatch.setenv("ROOMLINK_CONFIG", str(config))
    with pytest.raises(StartError, match=says):
        load_settings()


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINK_PROT", "1")
    monkeypatch.setenv("ROOMLINK_TEST_INFLUX_URL", "for the tests")
    assert unknown_variables() == ["ROOMLINK_PROT"]


def test_every_setting_says_what_it_means_and_gives_an_example() -> None:
    for field in Settings.model_fields.values():
        assert field.description
        assert field.examples


@pytest.mark.parametrize("name", ["settings.md", "api.md"])
def test_generated_documents_are_fresh(name: str) -> None:
    document = create_app(Settings(), engine=create_engine_for("sqlite://")).openapi()
    made = settings_markdown() if name == "settings.md" else as_markdown(document)
    command = f"python -m cloud {'settings' if name == 'settings.md' else 'openapi'} --markdown > docs/{name}"
    assert (ROOT / "docs" / name).read_text("utf-8") == made, f"run: {command}"


def test_every_operation_says_what_it_does_and_answers_problems() -> None:
    document = create_app(Settings(), engine=create_engine_for("sqlite://")).openapi()
    for each in operations(document):
        assert each["says"], each
        assert "503" in dict(each["answers"]) or each["path"] == "/healthz", each
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_a_problem_has_its_status_sentence_and_faults() -> None:
    body = problem(Invalid("The request is not valid.", [Fault("body.name", "is missing")]))
    assert body["type"] == "urn:roomlink:problem:invalid"
    assert (body["status"], body["faults"]) == (422, [{"where": "body.name", "says": "is missing"}])
    assert problem(CloudError("x"))["status"] == 500
    assert problem_headers(TooOften("x", retry_after_s=7)) == {"Retry-After": "7"}
    assert "Bearer" in problem_headers(Unauthenticated("x"))["WWW-Authenticate"]


def test_logs_are_one_json_object_a_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        start_logging("info", "json")
        structlog.get_logger("cloud").info("signed_in", password="open-sesame", api_token="open-sesame", name="anna")
        try:
            _fail("-".join(("open", "sesame")))
        except ValueError:
            structlog.get_logger("cloud").exception("failed")
        logging.getLogger("elsewhere").warning("also %s", "here")
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["signed_in", "failed", "also here"]
    assert lines[0]["password"] == lines[0]["api_token"] == "(secret)"
    assert "open-sesame" not in str(lines)
    assert "ValueError" in lines[1]["exception"]


def _fail(secret: str) -> None:
    raise ValueError("wrong" if secret else "")
