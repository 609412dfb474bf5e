"""The tests' own servers: they start, die and come back as the tests that use them assume."""

import signal
from pathlib import Path

import psycopg
import pytest

from tests.mqtt import MqttClient
from tests.process import Process, find_program
from tests.servers import EmbeddedBroker, MosquittoServer, PostgresServer, ServerError, free_port


def plain(url: str) -> str:
    """SQLAlchemy's address as psycopg takes it."""
    return url.replace("+psycopg", "")


def test_missing_program_fails_with_what_installs_it() -> None:
    with pytest.raises(ServerError, match=r"apt-get install -y --no-install-recommends mosquitto$"):
        find_program("mosquitto-that-is-not-there", "mosquitto")


def test_free_port_is_none_a_client_could_be_given() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(20))


def test_program_that_cannot_start_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="the reason it gave"):
        Process(tmp_path / "log").spawn(["sh", "-c", "echo the reason it gave; exit 3"], ready=lambda: False)


def test_process_that_ignores_being_asked_is_killed_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.process.STOP_WITHIN_S", 0.2)
    process = Process(tmp_path / "log")
    process.spawn(
        ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], ready=lambda: "deaf" in process.log()
    )
    with pytest.raises(ServerError, match="deaf"):
        process.stop()
    assert not process.running


def test_children_die_with_a_killed_process(tmp_path: Path) -> None:
    process = Process(tmp_path / "log")
    process.spawn(["sh", "-c", "sleep 300 & echo $!; wait"], ready=lambda: process.log().strip() != "")
    process.kill()
    assert not Path(f"/proc/{process.log().strip()}").exists()


def test_committed_rows_survive_a_kill_of_postgresql() -> None:
    server = PostgresServer()
    try:
        server.start()
        url = server.create_database()
        with psycopg.connect(plain(url)) as connection:
            connection.execute("CREATE TABLE seen (number integer)")
        with psycopg.connect(plain(url)) as connection:
            connection.execute("INSERT INTO seen VALUES (7)")
            connection.commit()
            server.kill()
        server.start()
        with psycopg.connect(plain(url)) as connection:
            assert connection.execute("SELECT number FROM seen").fetchall() == [(7,)]
    finally:
        server.close()
    assert not server.directory.exists()


def test_postgresql_is_durable_where_no_setting_says_otherwise_and_wants_a_password() -> None:
    with PostgresServer() as server:
        url = plain(server.create_database())
        with psycopg.connect(url) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace("roomlink:", "roomlink:x"))


def test_users_that_others_have_written_stay(mosquitto: MosquittoServer) -> None:
    mosquitto.set_user("kiosk-1")
    users = mosquitto.password_file.read_text()
    mosquitto.set_user("kiosk-2")
    assert users in mosquitto.password_file.read_text()


def test_stopped_and_continued_broker_answers_again(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.process.signal(signal.SIGSTOP)
    embedded_broker.process.signal(signal.SIGCONT)
    MqttClient(embedded_broker.port, "roomlink-cloud", embedded_broker.password()).close()
