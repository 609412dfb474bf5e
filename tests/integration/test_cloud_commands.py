"""`python -m cloud` as people run it: exit status 0 when done, 2 with one sentence when the caller must change something."""

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.process import HOST, Process, accepts, free_port

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a cloud of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLINK_")}
    return kept | {
        "ROOMLINK_DATABASE_URL": f"sqlite:///{tmp_path}/made/ledger.db",
        "ROOMLINK_DATA_DIR": str(tmp_path),
        "ROOMLINK_PORT": str(free_port()),
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a command to its end."""

    def command(*arguments: str, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cloud", *arguments],
            env=environment | more,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return command


@pytest.fixture
def migrated(run: Run) -> Run:
    """The same, with a schema."""
    assert run("migrate").returncode == 0
    return run


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_command_without_a_schema_says_what_to_run(run: Run) -> None:
    done = run("user", "list")
    assert done.returncode == 2
    assert last_line(done.stderr) == "The database has no tables yet; run: python -m cloud migrate"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ROOMLINK_PORT", "many", "an example is ROOMLINK_PORT=8080"),
        ("ROOMLINK_DATABASE_URL", "mysql://x/y", "must be sqlite or postgresql"),
        ("ROOMLINK_DATABASE_PASSWORD_FILE", "/nowhere/secret", "cannot be read"),
        ("ROOMLINK_CONFIG", "/nowhere/roomlink.toml", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_status_2(run: Run, name: str, value: str, says: str) -> None:
    done = run("migrate", **{name: value})
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr
    assert name.removesuffix("_FILE") in done.stderr or "database" in done.stderr


def test_accounts_and_tokens_are_managed_without_a_default_password(migrated: Run) -> None:
    made = migrated("user", "add", "anna", "--role", "admin")
    assert len(made.stdout.strip()) == 20
    assert migrated("user", "add", "anna", "--role", "viewer").returncode == 2
    assert migrated("user", "add", "ben", "--role", "viewer", "--password-stdin", stdin="short\n").returncode == 2
    assert migrated("user", "add", "ben", "--role", "viewer", "--password-stdin", stdin="long enough\n").returncode == 0
    for name in ("", "a\u202eb", "command line", "-"):
        refused = migrated("user", "add", "--role", "viewer", "--", name)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert migrated("user", "password", "ben").returncode == 0
    assert migrated("user", "disable", "ben").returncode == 0
    assert migrated("user", "disable", "anna").returncode == 2
    listed = migrated("user", "list").stdout
    assert listed == "anna\tadmin\tenabled\t-\nben\tviewer\tdisabled\t-\n"
    secret = migrated("token", "add", "anna", "--name", "probe", "--days", "3").stdout.strip()
    assert secret.startswith("rlt_")
    token_id = migrated("token", "list").stdout.split("\t")[0]
    assert migrated("token", "revoke", token_id).returncode == 0
    assert "revoked" in migrated("token", "list").stdout


def test_the_audit_is_verified_and_exported_and_a_changed_line_is_found(
    migrated: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert migrated("audit", "verify").stdout.startswith("0:")
    for name in ("anna", "ben"):
        assert migrated("user", "add", name, "--role", "admin").returncode == 0
    head = migrated("audit", "verify").stdout.strip()
    assert head.startswith("2:")
    assert migrated("audit", "verify", "--expect", head).returncode == 0
    assert migrated("audit", "verify", "--expect", "2:x").returncode == 2
    exported = [json.loads(line) for line in migrated("audit", "export").stdout.splitlines()]
    assert [(each["who"], each["address"], each["action"]) for each in exported] == [
        ("command line", "command line", "account.create")
    ] * 2
    assert migrated("audit", "export", "--to", "2026-01-01").stdout == ""
    assert migrated("audit", "export", "--from", "2026-01-01", "--file", str(tmp_path / "out")).returncode == 0
    nowhere = migrated("audit", "export", "--file", str(tmp_path / "no" / "where"))
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert len((tmp_path / "out").read_text("utf-8").splitlines()) == 2
    beyond = migrated("audit", "verify", "--expect", f"3:{'0' * 64}")
    assert (beyond.returncode, beyond.stdout) == (1, "")
    assert "Entry 3 is missing: the end was cut off." in beyond.stderr
    with sqlite3.connect(environment["ROOMLINK_DATABASE_URL"].removeprefix("sqlite:///")) as ledger:
        ledger.execute("DROP TRIGGER audit_refuses_update")
        ledger.execute("UPDATE audit SET who = 'nobody' WHERE id = 1")
    ledger.close()
    changed = migrated("audit", "verify")
    assert changed.returncode == 1
    assert "Entry 1 was changed" in changed.stderr


def test_members_are_imported_and_exported(migrated: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    with sqlite3.connect(environment["ROOMLINK_DATABASE_URL"].removeprefix("sqlite:///")) as ledger:
        ledger.execute(
            "INSERT INTO organisations VALUES "
            "('org_0000000000000001', NULL, '示例', '', '/org_0000000000000001/', 'Asia/Shanghai', 1, 0)"
        )
    ledger.close()
    good, bad, out = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "out.csv"
    good.write_text("编号,姓名\n1,样例一\n2,样例二\n", "gb18030")
    bad.write_text("编号,姓名\n1,样例一\n1,样例二\n", "utf-8")
    into = ("--organisation", "org_0000000000000001")
    refused = migrated("import", "members", str(bad), *into)
    assert refused.returncode == 2
    assert "row 3, external_id" in refused.stderr
    assert "2 would be created" in migrated("import", "members", str(good), *into, "--dry-run").stdout
    assert "2 were created" in migrated("import", "members", str(good), *into).stdout
    out.write_text("an older one, which all may read")
    out.chmod(0o644)
    assert migrated("export", "members", "--to", str(out)).returncode == 0
    assert "样例二" in out.read_text("utf-8-sig")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    nowhere = migrated("export", "members", "--to", str(tmp_path / "no" / "where"))
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in nowhere.stderr
    assert migrated("export", "attendance").stdout.startswith("\ufeffat_utc")


def test_settings_are_printed_with_their_source_and_without_secrets(run: Run, tmp_path: Path) -> None:
    secret, config = tmp_path / "secret", tmp_path / "roomlink.toml"
    secret.write_text("open-sesame\n")
    config.write_text('issuer = "TOWN"\n')
    done = run(
        "--config",
        str(config),
        "settings",
        ROOMLINK_MQTT_PASSWORD_FILE=str(secret),
        ROOMLINK_DATABASE_URL="postgresql://roomlink:open-sesame@db/roomlink",
        ROOMLINK_PROT="8080",
    )
    assert done.returncode == 0
    assert "open-sesame" not in done.stdout + done.stderr
    assert "ROOMLINK_MQTT_PASSWORD=(secret)\t[secret file]" in done.stdout
    assert f"ROOMLINK_ISSUER=TOWN\t[{config}]" in done.stdout
    assert "ROOMLINK_HOST=127.0.0.1\t[default]" in done.stdout
    assert "ROOMLINK_PROT is not a setting" in done.stderr


def test_series_are_made_anew_into_a_folder_that_is_not_there_yet_and_what_is_no_store_is_one_sentence(
    migrated: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "data"
    done = migrated("rebuild", "series", ROOMLINK_DATA_DIR=str(folder))
    assert (done.returncode, (folder / "timeseries.duckdb").exists()) == (0, True), done.stderr
    wrong = migrated("rebuild", "series", ROOMLINK_TIMESERIES_URL="duckdb:////nowhere/at/all.duckdb")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1), wrong.stderr
    assert "there is no folder /nowhere/at" in wrong.stderr


def test_doctor_names_each_thing_and_what_to_do(migrated: Run, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "issuer.key").touch(0o644)
    (tmp_path / "issuer.key").chmod(0o644)
    done = migrated("doctor", ROOMLINK_MQTT_PORT=str(port), ROOMLINK_PROT="1")
    assert done.returncode == 1
    assert "BAD  settings: ROOMLINK_PROT" in done.stdout
    assert "ok   database" in done.stdout
    assert "chmod 600" in done.stdout
    assert f"BAD  broker: {HOST}:{port} does not answer" in done.stdout


def test_doctor_is_content_where_all_is_well(migrated: Run) -> None:
    with socket.create_server((HOST, 0)) as broker:
        done = migrated("doctor", ROOMLINK_MQTT_PORT=str(broker.getsockname()[1]))
    assert done.returncode == 0, done.stdout


def test_serve_answers_names_a_busy_port_and_ends_cleanly(
    migrated: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    port = int(environment["ROOMLINK_PORT"])
    process = Process(tmp_path / "serve.log")
    command = ["env", *(f"{name}={value}" for name, value in environment.items() if name.startswith("ROOMLINK_"))]
    process.spawn([*command, sys.executable, "-m", "cloud", "serve"], ready=lambda: accepts(port))
    try:
        assert httpx.get(f"http://{HOST}:{port}/healthz").json() == {"ok": True}
        busy = migrated("serve")
        assert busy.returncode == 2
        assert last_line(busy.stderr).startswith(f"{HOST}:{port} cannot be listened on")
    finally:
        assert process.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(("trusted", "address"), [(HOST, "192.0.2.9"), ("192.0.2.1", HOST)])
def test_an_address_is_believed_from_the_trusted_proxy_only(
    migrated: Run, environment: dict[str, str], tmp_path: Path, trusted: str, address: str
) -> None:
    migrated("user", "add", "anna", "--role", "viewer")
    port = int(environment["ROOMLINK_PORT"])
    process = Process(tmp_path / "serve.log")
    settings = {name: value for name, value in environment.items() if name.startswith("ROOMLINK_")}
    settings["ROOMLINK_TRUSTED_PROXIES"] = trusted
    command = ["env", *(f"{name}={value}" for name, value in settings.items())]
    process.spawn([*command, sys.executable, "-m", "cloud", "serve"], ready=lambda: accepts(port))
    try:
        body = {"name": "anna", "password": "wrong"}
        answer = httpx.post(f"http://{HOST}:{port}/api/v1/session", json=body, headers={"X-Forwarded-For": "192.0.2.9"})
        assert answer.status_code == 401
    finally:
        process.stop(signal.SIGTERM)
    last = json.loads(last_line(migrated("audit", "export").stdout))
    assert (last["action"], last["address"]) == ("account.sign_in_failed", address)


def test_the_description_of_the_api_is_printed(run: Run) -> None:
    assert '"openapi": "3.1' in run("openapi").stdout
    assert run("openapi", "--markdown").stdout.startswith("# The HTTP API")
