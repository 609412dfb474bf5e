"""docker-compose.yml and the Dockerfile, as far as they can be checked without an engine."""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from cloud.settings import Settings, is_secret, variable
from cloud.timeseries.stores import open_store
from tests.process import ROOT

Service = dict[str, Any]

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Service] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
LISTED = [pytest.param(service, id=name) for name, service in SERVICES.items()]
ENDS_BY_ITSELF = {"migrate", "broker-users"}


def environment(service: Service) -> dict[str, str]:
    """The settings of ours that a service is given, with what stands in where the machine says nothing."""
    given = service.get("environment", {}).items()
    return {
        name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value) for name, value in given if name.startswith("ROOMLINK_")
    }


def mounts(service: Service) -> dict[PurePosixPath, tuple[str, bool]]:
    """Where in the container, to what is mounted there and whether it may be written."""
    split = [volume.split(":") for volume in service.get("volumes", [])]
    return {PurePosixPath(parts[1]): (parts[0], parts[2:] != ["ro"]) for parts in split}


def mounted_at(service: Service, path: PurePosixPath) -> tuple[str, PurePosixPath, bool]:
    """What holds this path of the container: its source, the path below it, and whether it may be written."""
    for folder, (source, writable) in sorted(mounts(service).items(), reverse=True):  # a mount within another first
        if path == folder or folder in path.parents:
            return source, path.relative_to(folder), writable
    raise AssertionError(f"{path} is not on any volume")


@pytest.mark.parametrize("service", LISTED)
def test_service_runs_confined_and_not_as_root(service: Service) -> None:
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc"}
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ENDS_BY_ITSELF))
def test_lasting_service_is_watched_bounded_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]


@pytest.mark.parametrize("name", sorted(ENDS_BY_ITSELF))
def test_service_that_ends_by_itself_is_not_started_for_ever(name: str) -> None:
    assert SERVICES[name]["restart"] == "on-failure:5"


@pytest.mark.parametrize("service", [p for p in LISTED if p.id not in {"influxdb"}])
def test_root_filesystem_is_read_only(service: Service) -> None:
    assert service["read_only"] is True


@pytest.mark.parametrize("service", LISTED)
def test_every_setting_of_ours_is_a_documented_one(service: Service) -> None:
    known = {variable(name): field.description for name, field in Settings.model_fields.items()}
    secret_files = {variable(name) + "_FILE" for name in Settings.model_fields if is_secret(name)}
    for name in environment(service):
        assert name in secret_files or known.get(name), name


def test_the_cloud_accepts_the_values_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-long-random-password\n")
    for name, value in environment(SERVICES["cloud"]).items():
        monkeypatch.setenv(name, str(secret) if value.startswith("/run/secrets/") else value)
    settings = Settings()
    assert settings.ledger_url() == "postgresql://roomlink:a-long-random-password@postgres/roomlink"
    assert settings.mqtt_password is not None
    assert settings.mqtt_password.get_secret_value() == "a-long-random-password"
    assert settings.timeseries_token is not None
    assert settings.timeseries_token.get_secret_value() == "a-long-random-password"


def test_cloud_is_given_every_secret_as_the_file_of_a_setting() -> None:
    given = environment(SERVICES["cloud"])
    assert not any(is_secret(name) and variable(name) in given for name in Settings.model_fields)
    files = {f"/run/secrets/{name}" for name in SERVICES["cloud"]["secrets"]}
    assert files == {value for name, value in given.items() if name.endswith("_FILE") and value in files}


def test_the_time_series_go_to_the_influxdb_beside_it_with_its_own_token() -> None:
    given, influx = environment(SERVICES["cloud"]), SERVICES["influxdb"]["environment"]
    address = urlsplit(given["ROOMLINK_TIMESERIES_URL"])
    assert address.scheme == "influx+http"
    assert (address.hostname, address.port) == ("influxdb", 8086)
    assert set(SERVICES["influxdb"]["networks"]) & set(SERVICES["cloud"]["networks"])
    made = (influx["DOCKER_INFLUXDB_INIT_ORG"], influx["DOCKER_INFLUXDB_INIT_BUCKET"])
    assert tuple(address.path.split("/")[1:]) == made
    assert given["ROOMLINK_TIMESERIES_TOKEN_FILE"] == influx["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE"]
    store = open_store(given["ROOMLINK_TIMESERIES_URL"], token="a-token")  # asks no server before it is used
    store.close()


def test_what_the_machine_may_say_is_documented() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    documents = (ROOT / "broker_config" / "README.md").read_text("utf-8")
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert f"`{name}`" in documents, name


@pytest.mark.parametrize("service", LISTED)
def test_every_secret_comes_from_a_declared_file_that_git_and_docker_ignore(service: Service) -> None:
    for value in service.get("environment", {}).values():
        if value.startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    for name in service.get("secrets", []):
        assert COMPOSE["secrets"][name]["file"] == f"./secrets/{name}"
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!secrets" not in (ROOT / ".dockerignore").read_text()


@pytest.mark.parametrize("name", sorted(COMPOSE["secrets"]))
def test_every_secret_is_documented_with_how_to_make_it(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "broker_config" / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("service", LISTED)
def test_every_mount_is_a_declared_volume_or_a_file_of_the_repository(service: Service) -> None:
    for source, writable in mounts(service).values():
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert not writable, source
        else:
            assert source in COMPOSE["volumes"], source


@pytest.mark.parametrize("service", LISTED)
def test_every_dependency_and_network_exists(service: Service) -> None:
    assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
    for name, wanted in service.get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[name]


def test_only_console_terminals_port_and_the_optional_grafana_are_published_and_on_loopback_unless_told() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "cloud": ["${CONSOLE_ADDRESS:-127.0.0.1}:8080:8080"],
        "mosquitto": ["${BROKER_ADDRESS:-127.0.0.1}:8883:8883"],
        "grafana": ["${GRAFANA_ADDRESS:-127.0.0.1}:3000:3000"],
    }
    assert SERVICES["grafana"]["profiles"] == SERVICES["prometheus"]["profiles"] == ["observability"]


READ = re.compile(r"^(\w+file|persistence_location) (/\S+)$", re.MULTILINE)


def test_mosquittos_files_are_where_its_configuration_looks_for_them() -> None:
    service = SERVICES["mosquitto"]
    found = READ.findall((ROOT / "broker_config/mosquitto/mosquitto.conf").read_text("utf-8"))
    own = {"acl_file", "password_file", "persistence_location"}
    assert {option for option, _ in found} == own | {"cafile", "certfile", "keyfile", "crlfile"}
    for option, path in found:
        source, below, writable = mounted_at(service, PurePosixPath(path))
        assert writable == (option == "persistence_location")
        assert option != "acl_file" or (ROOT / source / below).is_file()
    for path in [*service["entrypoint"][1:], *service["command"][:1]]:
        source, below, _ = mounted_at(service, PurePosixPath(path))
        assert (ROOT / source / below).is_file()


def test_run_sh_looks_at_every_file_that_mosquitto_reads_and_somebody_changes() -> None:
    found = READ.findall((ROOT / "broker_config/mosquitto/mosquitto.conf").read_text("utf-8"))
    changing = {path for option, path in found if option not in {"acl_file", "persistence_location"}}
    passwords = dict(
        READ.findall((ROOT / "broker_config/mosquitto/passwords.conf").read_text("utf-8").split("listener 1884")[0])
    )
    assert set(SERVICES["mosquitto"]["command"][1:]) == changing | {passwords["password_file"]}


def test_certificates_pass_from_the_cloud_by_the_watcher_to_mosquitto_and_no_other_way() -> None:
    watcher = SERVICES["broker-watch"]
    options = dict(zip(watcher["command"][4::2], map(PurePosixPath, watcher["command"][5::2]), strict=True))
    incoming, into = mounted_at(watcher, options["--incoming"]), mounted_at(watcher, options["--into"])
    written = PurePosixPath(environment(SERVICES["cloud"])["ROOMLINK_DATA_DIR"]) / "authority"
    cloud = mounted_at(SERVICES["cloud"], written)
    conf = (ROOT / "broker_config/mosquitto/mosquitto.conf").read_text("utf-8")
    mosquitto = {
        mounted_at(SERVICES["mosquitto"], PurePosixPath(path)) for path in re.findall(r"^crlfile (.+)$", conf, re.M)
    }
    assert incoming == (cloud[0], cloud[1], False)
    assert cloud[2]
    assert into[2]
    assert mosquitto == {(into[0], into[1] / "revoked.pem", False)}
    assert into[0] not in {source for source, _ in mounts(SERVICES["cloud"]).values()}
    assert watcher["network_mode"] == "none"


def test_image_makes_every_folder_that_ours_write_before_a_volume_covers_it() -> None:
    """A volume takes owner and mode from the image's folder; where there is none it would be root's."""
    made = set(re.findall(r"/var/lib/roomlink\S*", DOCKERFILE.replace("/nonexistent", "")))
    ours = [service for service in SERVICES.values() if service.get("image", "").startswith("roomlink:")]
    assert {str(folder) for service in ours for folder in mounts(service)} <= made


def test_cloud_writes_the_users_that_mosquitto_reads() -> None:
    written = PurePosixPath(environment(SERVICES["cloud"])["ROOMLINK_MOSQUITTO_PASSWORD_FILE"])
    read = PurePosixPath(SERVICES["mosquitto"]["command"][1])
    assert mounted_at(SERVICES["cloud"], written)[:2] == mounted_at(SERVICES["mosquitto"], read)[:2]
    assert mounted_at(SERVICES["cloud"], written)[2]


def test_cloud_speaks_to_the_listener_that_is_its_own() -> None:
    given = environment(SERVICES["cloud"])
    conf = (ROOT / "broker_config/mosquitto/mosquitto.conf").read_text("utf-8")
    assert given["ROOMLINK_MQTT_HOST"] in SERVICES
    assert f"listener {given['ROOMLINK_MQTT_PORT']}\n" in conf
    assert given["ROOMLINK_MQTT_USER"] in (ROOT / "broker_config/mosquitto/cloud.acl").read_text("utf-8")


def test_image_copies_what_exists_and_ends_as_an_unprivileged_user() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for line in sources for source in line.split()]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]
    assert SERVICES["cloud"]["user"] == "10001:10001"


def test_dockerfile_takes_the_runtime_from_the_one_lock_file() -> None:
    assert "--require-hashes -r runtime.lock" in DOCKERFILE
    lock = (ROOT / "requirements.lock").read_text()
    uv = re.search(r"^uv==\S+ \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+ +# via", lock, re.MULTILINE)
    assert uv, "the Dockerfile cuts uv out of the lock file by these lines"
