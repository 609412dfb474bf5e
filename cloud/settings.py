"""Every setting of the cloud: its name, meaning, default and source.

A value comes from the environment (`ROOMLINK_PORT`), else for a secret from the file that `ROOMLINK_…_FILE` names,
else from the TOML file that `ROOMLINK_CONFIG` or `--config` names, else it is the default. Secrets are never printed.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cloud.errors import StartError

PREFIX = "ROOMLINK_"
CONFIG = "ROOMLINK_CONFIG"

Port = Annotated[int, Field(ge=1, le=65535)]


def _setting(default: Any, description: str, example: str) -> Any:
    return Field(default, description=description, examples=[example])


class Settings(BaseSettings):
    """What the cloud may be told. Each field's environment variable is its name in capitals, after ROOMLINK_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=True)

    database_url: str = _setting(
        "sqlite:///var/roomlink.db",
        "The ledger: sqlite:///path, or postgresql://user@host/name in production.",
        "postgresql://roomlink@db/roomlink",
    )
    database_password: SecretStr | None = _setting(
        None, "PostgreSQL's password, when it is not in the URL.", "a-long-random-password"
    )
    database_wait_s: float = _setting(
        60.0, "How long to wait at the start for a database that does not answer yet, in seconds.", "60"
    )
    data_dir: Path = _setting(
        Path("var"), "Folder for what is not in the database: the key file, uploads on their way.", "/var/lib/roomlink"
    )
    host: str = _setting("127.0.0.1", "Address to listen on.", "0.0.0.0")  # noqa: S104
    port: Port = _setting(8080, "Port of the console and the API.", "8080")
    public_url: str | None = _setting(
        None,
        "The address people use, when a proxy stands before the service; with https, cookies are sent only over TLS.",
        "https://roomlink.example.org",
    )
    trusted_proxies: str = _setting(
        "127.0.0.1", "Addresses of proxies whose X-Forwarded-For is believed, comma-separated.", "10.0.0.2"
    )
    session_hours: Annotated[int, Field(ge=1, le=720)] = _setting(
        12, "How long a sign-in to the console lasts at most, in hours.", "12"
    )
    session_idle_minutes: Annotated[int, Field(ge=5, le=43_200)] = _setting(
        60,
        "How long it lasts without being used, in minutes. A page that is open and only shows what is new is not used.",
        "30",
    )
    issuer: Annotated[str, Field(pattern=r"^[A-Z0-9._-]{1,8}$")] = _setting(
        "ROOMLINK", "Who issues the credentials: at most 8 characters, on every card.", "CITYHALL"
    )
    issuer_key_file: Path | None = _setting(
        None,
        "Key file (mode 0600) that the issuer keys are encrypted under; made when there is none. "
        "Default: issuer.key in the data folder. Keep a copy apart from the backups.",
        "/var/lib/roomlink-keys/issuer.key",
    )
    issuer_key_lead_days: Annotated[int, Field(ge=0, le=365)] = _setting(
        7,
        "How long a new issuer key is only published, in days, before it signs although not every terminal has "
        "reported a twin that holds it.",
        "7",
    )
    credential_days: Annotated[int, Field(ge=1, le=3650)] = _setting(
        365, "How long a new card is valid, in days.", "365"
    )
    authority_key_file: Path | None = _setting(
        None,
        "Key file (mode 0600) that the keys of certificate authorities are encrypted under; made by `ca init` when "
        "there is none. Default: authority.key in the data folder. Keep a copy apart from the backups.",
        "/var/lib/roomlink-keys/authority.key",
    )
    authority_dir: Path | None = _setting(
        None,
        "Folder that the broker reads: ca.pem (root and intermediates), root.pem, chain.pem, and revoked.pem, the "
        "revocation lists. Default: authority in the data folder.",
        "/var/lib/roomlink-authority",
    )
    revocation_list_days: Annotated[int, Field(ge=2, le=365)] = _setting(
        60,
        "How long a revocation list is good, in days; it is made anew daily. When it has ended the broker lets nobody in.",
        "60",
    )
    terminals_mqtt_host: str | None = _setting(
        None,
        "The broker's address as terminals are told it at their claim. Default: the host of ROOMLINK_PUBLIC_URL, else "
        "ROOMLINK_MQTT_HOST.",
        "broker.example.org",
    )
    terminals_mqtt_port: Port = _setting(8883, "The broker's port as terminals are told it.", "8883")
    mqtt_host: str = _setting("127.0.0.1", "Address of the broker.", "mosquitto")
    mqtt_port: Port = _setting(1883, "Port of the broker.", "1883")
    mqtt_user: str = _setting("roomlink-cloud", "The cloud's user name at the broker.", "roomlink-cloud")
    mqtt_password: SecretStr | None = _setting(None, "The cloud's password at the broker.", "a-long-random-password")
    mqtt_ca_file: Path | None = _setting(
        None, "Authorities to trust about the broker; with it, the cloud speaks TLS to it.", "/etc/roomlink/root.pem"
    )
    mqtt_certificate_file: Path | None = _setting(
        None,
        "The cloud's own certificate at the broker, where that asks for one (`python -m cloud ca service`).",
        "/etc/roomlink/roomlink-cloud.pem",
    )
    mqtt_key_file: Path | None = _setting(
        None, "The key of that certificate, where it is in a file of its own.", "/etc/roomlink/roomlink-cloud-key.pem"
    )
    mosquitto_password_file: Path | None = _setting(
        None,
        "Mosquitto's password file, when the cloud is to write it; other users' lines in it stay.",
        "/var/lib/roomlink-broker/passwords",
    )
    mosquitto_pid_file: Path | None = _setting(
        None, "Mosquitto's pid file: it is told to read its passwords again.", "/run/mosquitto/mosquitto.pid"
    )
    timeseries_url: str | None = _setting(
        None,
        "The time series: duckdb:///path, or influx+http://host:8086/organisation/bucket. "
        "Default: timeseries.duckdb in the data folder.",
        "influx+http://influxdb:8086/roomlink/roomlink",
    )
    timeseries_token: SecretStr | None = _setting(None, "InfluxDB's API token.", "a-long-random-token")
    timeseries_zone: str = _setting("Asia/Shanghai", "Time zone whose days the daily figures are of.", "Europe/Berlin")
    smtp_host: str | None = _setting(
        None, "The mail server that e-mails about alarms go by; without it none are sent.", "mail.example.org"
    )
    smtp_port: Port = _setting(587, "Port of the mail server; 465 where ROOMLINK_SMTP_TLS is tls.", "587")
    smtp_tls: Literal["starttls", "tls", "none"] | None = _setting(
        None,
        "How the mail server is spoken to: TLS by STARTTLS, TLS from the first byte, or none. "
        "Default: starttls; none where the mail server is this machine.",
        "tls",
    )
    smtp_ca_file: Path | None = _setting(
        None, "Authorities to trust about the mail server, instead of the machine's own.", "/etc/roomlink/mail-ca.pem"
    )
    smtp_user: str | None = _setting(None, "The cloud's user name at the mail server.", "roomlink")
    smtp_password: SecretStr | None = _setting(
        None, "Its password there; it is sent over TLS only.", "a-long-random-password"
    )
    smtp_from: str | None = _setting(
        None, "Whom e-mails are from; needed with ROOMLINK_SMTP_HOST.", "Roomlink <roomlink@example.org>"
    )
    webhook_allow: str = _setting(
        "",
        "Networks and hosts, comma-separated, to which webhooks may go although their addresses are not public; to these "
        "also without TLS.",
        "10.1.0.0/16,chat.lan",
    )
    webhook_ca_file: Path | None = _setting(
        None, "Authorities to trust about webhooks' hosts beside the public ones.", "/etc/roomlink/own-ca.pem"
    )
    notification_key_file: Path | None = _setting(
        None,
        "Key file (mode 0600) that webhooks' secrets are encrypted under; made with the first of them. "
        "Default: notification.key in the data folder. Keep a copy apart from the backups.",
        "/var/lib/roomlink-keys/notification.key",
    )
    points_days: Annotated[int, Field(ge=1, le=36500)] | None = _setting(
        180, "How long single points are kept, in days; hourly and daily figures stay.", "180"
    )
    journal_days: Annotated[int, Field(ge=15, le=36500)] | None = _setting(
        None, "How long the journal is kept, in days; without it, for ever.", "1095"
    )
    ingest: Literal["here", "apart"] = _setting(
        "here", "Whether serve also takes in what terminals send, or `python -m cloud worker` does.", "apart"
    )
    ingest_processes: Annotated[int, Field(ge=0, le=32)] = _setting(
        0,
        "Processes that store what the one subscriber hears; 0: a thread of it. On SQLite they write in turn.",
        "1",
    )
    streams_per_day: Annotated[int, Field(ge=2, le=10_000)] = _setting(
        20, "How many streams a terminal may begin within 24 hours; each loss of its disk begins one.", "20"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "What is logged.", "info")
    log_format: Literal["json", "text"] = _setting("json", "How it is logged: json lines, or text.", "json")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before secret files before the TOML file; what is given in code comes first."""
        return init_settings, env_settings, _SecretFiles(settings_cls), _TomlFile(settings_cls)

    def ledger_url(self) -> str:
        """The database's URL with its password; never to be logged."""
        url = make_url(self.database_url)
        if self.database_password is not None:
            url = url.set(password=self.database_password.get_secret_value())
        return url.render_as_string(hide_password=False)

    def series_url(self) -> str:
        """The address of the time series."""
        return self.timeseries_url or f"duckdb:///{self.data_dir / 'timeseries.duckdb'}"

    def key_file(self) -> Path:
        """Where the key lies that issuer keys are encrypted under."""
        return self.issuer_key_file or self.data_dir / "issuer.key"

    def authority_key(self) -> Path:
        """Where the key lies that the keys of certificate authorities are encrypted under."""
        return self.authority_key_file or self.data_dir / "authority.key"

    def notification_key(self) -> Path:
        """Where the key lies that webhooks' secrets are encrypted under."""
        return self.notification_key_file or self.data_dir / "notification.key"

    def authority_folder(self) -> Path:
        """Where the broker finds whom to trust, and whom no more."""
        return self.authority_dir or self.data_dir / "authority"

    def terminals_broker(self) -> tuple[str, int]:
        """Host and port of the broker, as terminals reach it."""
        public = urlsplit(self.public_url or "").hostname
        return self.terminals_mqtt_host or public or self.mqtt_host, self.terminals_mqtt_port


@dataclass(frozen=True)
class Line:
    """One setting as a person is shown it."""

    name: str
    value: str
    source: str
    meaning: str


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads the file that `ROOMLINK_<SECRET>_FILE` names, without its last line break."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        name = variable(field_name) + "_FILE"
        path = os.environ.get(name)
        if path is None or not is_secret(field_name):
            return None, field_name, False
        try:
            return Path(path).read_text("utf-8").rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"{name} names {path}, which cannot be read: {error}") from error

    def __call__(self) -> dict[str, Any]:
        """All secrets that were given by file."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class _TomlFile(PydanticBaseSettingsSource):
    """Reads the file that ROOMLINK_CONFIG names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return _read_toml().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The whole file."""
        return _read_toml()


def load_settings() -> Settings:
    """The settings as environment and files give them. StartError with one sentence when one is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise StartError(_sentence(error)) from None  # its text would hold the value, which may be a secret
    try:
        make_url(settings.database_url)
    except ArgumentError:
        raise StartError(f"{variable('database_url')} is not a URL; an example is sqlite:///var/roomlink.db.") from None
    return settings


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def is_secret(field: str) -> bool:
    """Whether the setting must never be shown."""
    return "SecretStr" in str(Settings.model_fields[field].annotation)


def describe(settings: Settings) -> list[Line]:
    """Each setting with its value (or `(secret)`), source and meaning."""
    return [
        Line(variable(name), _shown(settings, name), _source(name), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def unknown_variables() -> list[str]:
    """Variables that look like settings and are none: most likely a typing error."""
    known = {variable(name) for name in Settings.model_fields} | {CONFIG}
    known |= {variable(name) + "_FILE" for name in Settings.model_fields if is_secret(name)}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and not name.startswith("ROOMLINK_TEST_") and name not in known
    )


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if value is None:
        return ""
    if is_secret(name):
        return "(secret)"
    if name == "database_url":
        return make_url(value).render_as_string(hide_password=True)
    return str(value)


def _source(name: str) -> str:
    if variable(name) in os.environ:
        return "environment"
    if is_secret(name) and variable(name) + "_FILE" in os.environ:
        return "secret file"
    if name in _read_toml():
        return os.environ[CONFIG]
    return "default"


def _read_toml() -> dict[str, Any]:
    path = os.environ.get(CONFIG)
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartError(f"{CONFIG} names {path}, which cannot be read: {error}") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{name} in {os.environ.get(CONFIG, 'the settings')} is not a setting; see: python -m cloud settings"
    says = first["msg"][0].lower() + first["msg"][1:]
    example = (field.examples or [""])[0]
    return f"{variable(name)} is not right: {says}; an example is {variable(name)}={example}"


def settings_markdown() -> str:
    """docs/settings.md."""
    head = (
        "# Settings of the cloud\n\n"
        "Generated by `python -m cloud settings --markdown`; a test fails when it is stale.\n\n"
        "A value comes from the environment, else for a secret from the file that the variable with `_FILE` after "
        "its name names,\nelse from the TOML file that `ROOMLINK_CONFIG` or `--config` names (there the name is "
        "without `ROOMLINK_` and in small letters),\nelse it is the default.\n\n"
        "| name | default | example | meaning |\n| --- | --- | --- | --- |\n"
    )
    return head + "".join(
        f"| `{variable(name)}`{' (secret)' if is_secret(name) else ''} | {_code(field.default)} "
        f"| {_code((field.examples or [''])[0])} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )


def _code(value: object) -> str:
    return "" if value is None else f"`{value}`"
