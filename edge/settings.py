"""The agent's settings: a TOML file, overridden by ROOMLINK_EDGE_… variables, and below both what the claim told.

Promises that a missing or wrong setting is one sentence with its name and an example (SettingsError).
Called by the command line; every part of the agent is given what it needs of it.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from edge.errors import IdentityError, SettingsError, Unclaimed
from edge.identity import Claim, is_claimed, load_claim
from firmware_specs.errors import TopicError
from firmware_specs.topics import check_terminal_id

ENV_PREFIX: Final = "ROOMLINK_EDGE_"
IDENTITY: Final = "identity"


class Broker(BaseModel):
    """How to reach the MQTT broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(min_length=1, description="Host name or address of the broker", examples=["127.0.0.1"])]
    port: Annotated[int, Field(ge=1, le=65_535, description="TCP port", examples=[1883])] = 1883
    tls: Annotated[bool, Field(description="Encrypt, and check the broker's certificate", examples=[True])] = False
    ca_file: Annotated[
        Path | None,
        Field(description="Certificates to trust instead of the system's", examples=["/etc/roomlink/ca.pem"]),
    ] = None
    keepalive_s: Annotated[int, Field(ge=2, le=3600, description="Ping when silent for so long", examples=[30])] = 30


class OutboxSettings(BaseModel):
    """Space and time of the outbox."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_mb: Annotated[int, Field(ge=1, le=1_000_000, description="Size of the outbox file, MiB", examples=[256])] = 256
    reserved_mb: Annotated[
        int | None, Field(ge=0, description="Of these, what only facts may use, MiB; half if not set", examples=[128])
    ] = None
    keep_days: Annotated[
        float,
        Field(ge=0, le=3650, description="How long stored records stay for a restore of the cloud", examples=[14]),
    ] = 14.0


class KioskSettings(BaseModel):
    """The kiosk's camera and screen; absent on a terminal that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera: Annotated[
        str,
        Field(description="Camera number, device, video file or folder of pictures; empty for none", examples=["0"]),
    ] = ""
    page_port: Annotated[
        int,
        Field(ge=0, le=65_535, description="Loopback port of the screen's page; 0 picks a free one", examples=[8480]),
    ] = 8480
    language: Annotated[
        Literal["zh", "en"] | None, Field(description="Language until the twin says another", examples=["zh"])
    ] = None


class FileSettings(BaseSettings):
    """Settings that are read from a TOML file and the environment, by `load_settings`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )


class Settings(FileSettings):
    """All settings of one terminal."""

    terminal: Annotated[
        str,
        Field(
            description="The terminal's id, as registered in the console; a claimed terminal knows it",
            examples=["kiosk-302-a"],
        ),
    ]
    data_dir: Annotated[
        Path,
        Field(description="Where outbox, identity, roster and revocations are kept", examples=["/var/lib/roomlink"]),
    ]
    broker: Annotated[Broker, Field(description="How to reach the broker")]
    password: Annotated[
        SecretStr | None,
        Field(
            description="The terminal's password, for broker and cloud; a claimed terminal has one for the cloud",
            examples=["secret"],
        ),
    ] = None
    password_file: Annotated[
        Path | None, Field(description="File that holds the password", examples=["/etc/roomlink/password"])
    ] = None
    cloud_url: Annotated[
        str, Field(description="Where roster and revocations are fetched", examples=["https://roomlink.example.org"])
    ] = ""
    cloud_ca_file: Annotated[
        Path | None,
        Field(description="Certificates to trust there instead of the system's", examples=["/etc/roomlink/ca.pem"]),
    ] = None
    profile: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Kind of terminal", examples=["kiosk"])
    ] = "kiosk"
    resend_timeout_s: Annotated[
        float, Field(ge=1, le=600, description="Until the twin says another", examples=[20])
    ] = 20.0
    clock_trusted: Annotated[
        bool, Field(description="The clock is kept right by something that the kernel does not know", examples=[False])
    ] = False
    clock_offset_file: Annotated[
        Path | None, Field(description="For tests: microseconds to add to the clock", examples=["offset"])
    ] = None
    reboot_hook: Annotated[
        tuple[str, ...],
        Field(
            description="Command that reboots the machine, for `reboot`; empty: it cannot",
            examples=[["systemctl", "reboot"]],
        ),
    ] = ()
    screenshot_hook: Annotated[
        tuple[str, ...],
        Field(
            description="Command that takes a picture of the screen into {file}, for `screenshot`; {url} is the page",
            examples=[["grim", "{file}"]],
        ),
    ] = ()
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level that is logged", examples=["info"])
    ] = "info"
    outbox: Annotated[OutboxSettings, Field(description="Space and time of the outbox")] = OutboxSettings()
    kiosk: Annotated[KioskSettings | None, Field(description="Camera and screen; leave out for none")] = None

    @field_validator("screenshot_hook")
    @classmethod
    def _names_a_file(cls, hook: tuple[str, ...]) -> tuple[str, ...]:
        if hook and not any("{file}" in each for each in hook):
            raise ValueError("one of its arguments must hold {file}, where the picture is expected")
        return hook

    @field_validator("terminal")
    @classmethod
    def _known_form(cls, terminal: str) -> str:
        try:
            return check_terminal_id(terminal)
        except TopicError as error:
            raise ValueError(str(error)) from None

    @property
    def outbox_file(self) -> Path:
        """The SQLite file of the outbox."""
        return self.data_dir / "outbox.db"

    @property
    def identity_dir(self) -> Path:
        """Where key and certificate of a claimed terminal lie."""
        return self.data_dir / IDENTITY

    @property
    def has_certificate(self) -> bool:
        """Whether the terminal was claimed, so that it signs in at a broker with TLS by its certificate, without a password."""
        return is_claimed(self.identity_dir)

    def read_password(self) -> str:
        """The password itself; raises SettingsError where none is set."""
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            raise SettingsError("Setting password_file is missing. Example: password_file = '/etc/roomlink/password'")
        try:
            return self.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"Setting password_file: {self.password_file} cannot be read ({error.strerror}). "
                "Example: password_file = '/etc/roomlink/password'"
            ) from None


class _DataFolder(FileSettings):
    """The one setting that must be known before there is an identity."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    data_dir: Annotated[Path, Field(description="The data folder", examples=["/var/lib/roomlink"])]


def data_dir_of(file: Path) -> Path:
    """The data folder that a settings file names, whatever else is missing there; raises SettingsError."""
    return load_settings(file, _DataFolder).data_dir


class FleetSettings(FileSettings):
    """Settings of a fleet, from a TOML file."""

    data_dir: Annotated[
        Path, Field(description="A folder for each simulated kiosk is made here", examples=["var/fleet"])
    ]
    broker: Annotated[Broker, Field(description="How to reach the broker")]
    terminals_file: Annotated[
        Path,
        Field(
            description="JSON object: terminal ids and their passwords; one whose folder holds a claim needs none",
            examples=["fleet.json"],
        ),
    ]
    cards_file: Annotated[
        Path | None, Field(description="Texts of QR cards, one a line; without it nobody comes", examples=["cards.txt"])
    ] = None
    cloud_url: Annotated[
        str,
        Field(
            description="Where roster and revocations are fetched; empty: they are not",
            examples=["http://127.0.0.1:8000"],
        ),
    ] = ""
    check_ins_per_s: Annotated[float, Field(ge=0, description="Over the whole fleet", examples=[2.0])] = 1.0
    clock_trusted: Annotated[bool, Field(description="As in the agent's settings", examples=[True])] = False
    resend_timeout_s: Annotated[float, Field(ge=1, le=600, description="Until a twin says another", examples=[20])] = (
        20.0
    )
    max_mb: Annotated[int, Field(ge=1, description="Size of each outbox file, MiB", examples=[64])] = 64
    seed: Annotated[int | None, Field(description="Makes who comes when repeatable", examples=[1])] = None


S = TypeVar("S", bound=FileSettings)


class _FromClaim(PydanticBaseSettingsSource):
    """What the claim told, where the data folder holds one; ``problem`` is what stood in the way."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.folder: Path | None = None
        self.kiosk: dict[str, Any] | None = None
        self.problem: str | None = None

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base asks for it
        """Nothing is asked by single fields."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values below all others."""
        if "data_dir" not in self.current_state:
            return {}
        self.folder, self.kiosk = Path(self.current_state["data_dir"]), self.current_state.get("kiosk")
        try:
            claim = load_claim(self.folder / IDENTITY)
        except IdentityError as error:
            self.problem = str(error)
            return {}
        return {} if claim is None else _told(claim, self.current_state)


def _told(claim: Claim, given: dict[str, Any]) -> dict[str, Any]:
    broker = {"host": claim.broker.host, "port": claim.broker.port, "tls": True}
    told = {"terminal": claim.terminal, "profile": claim.profile, "cloud_url": claim.cloud_url, "broker": broker}
    if not {"password", "password_file"} & given.keys():
        told["password"] = claim.password
    return told


def load_settings(file: Path | None, model: type[S], **given: Any) -> S:
    """Settings from a TOML file and the environment; what is ``given`` comes before both. Raises SettingsError, one sentence.

    Unclaimed where there is a data folder, and nothing says which terminal this is.
    """
    claims: list[_FromClaim] = []

    class FromFile(model):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a file is enough
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            claims.append(_FromClaim(settings_cls))
            toml = [] if file is None else [TomlConfigSettingsSource(settings_cls, toml_file=file)]
            last = claims if issubclass(model, Settings) else []
            return init_settings, env_settings, *toml, *last

    if file is not None and not file.is_file():
        raise SettingsError(f"The settings file {file} does not exist. Example: --config /etc/roomlink/kiosk.toml")
    try:
        if file is not None:
            tomllib.loads(file.read_text("utf-8"))
        settings: S = FromFile.model_validate(given)
    except ValidationError as error:
        raise _wrong(error, model, claims[-1]) from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"The settings file {file} is not TOML: {error}") from None
    return settings


def _wrong(error: ValidationError, model: type[BaseModel], claim: _FromClaim) -> SettingsError:
    sentence = _sentence(error, model)
    missing = {each["loc"][0] for each in error.errors() if each["type"] == "missing"}
    if claim.folder is None or not missing & ({"terminal", "broker"} if claim.problem else {"terminal"}):
        return SettingsError(sentence)
    unknown = (
        f"This terminal is not set up. Claim it: python -m edge claim URL CODE --data-dir {claim.folder}, "
        "or set terminal, broker and password_file."
    )
    return Unclaimed(claim.problem or unknown, claim.folder, claim.kiosk)


def described(model: type[BaseModel] = Settings, prefix: str = "") -> list[tuple[str, str, str]]:
    """(name, example, meaning) of every setting, for the documents and the error sentences."""
    found: list[tuple[str, str, str]] = []
    for name, info in model.model_fields.items():
        inner = next((part for part in (info.annotation, *_parts(info.annotation)) if _is_model(part)), None)
        if inner is not None:
            found += described(inner, f"{prefix}{name}.")
        else:
            example = (info.examples or [""])[0]
            found.append((prefix + name, _toml(example), info.description or ""))
    return found


def markdown() -> str:
    """docs/settings-agent.md: a row for each setting of an agent, and of a fleet."""
    lines = [
        "# Settings of the agent",
        "",
        "Generated by `python -m edge settings --markdown`; a test fails when it is stale.",
        "",
        "They are read from the TOML file that `--config` names; a name with a dot stands in a table (`[broker]`).",
        f"A variable of the environment comes first: `{ENV_PREFIX}` and the name in capitals, `__` for the dot",
        f"(`{ENV_PREFIX}BROKER__PORT`).",
    ]
    for title, model in (("The agent: `run`, `doctor`, `outbox`", Settings), ("A fleet: `fleet`", FleetSettings)):
        lines += ["", f"## {title}", "", "| name | example | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | `{example}` | {meaning} |" for name, example, meaning in described(model)]
    return "\n".join(lines) + "\n"


def _parts(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"Setting {name} is not known. Known are: {', '.join(known for known, _, _ in described(model))}."
    examples = {known: f"{known} = {example}" for known, example, _ in described(model)}
    example = examples.get(name) or next((e for known, e in examples.items() if known.startswith(f"{name}.")), "")
    what = "is missing" if first["type"] == "missing" else f"is wrong: {first['msg']}"
    return f"Setting {name} {what}. Example: {example}"
