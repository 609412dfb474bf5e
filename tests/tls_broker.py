"""Mosquitto with mutual TLS for terminal tests: a terminal is known by its certificate, and by nothing else.

Promises that the listener of the terminals takes nobody without a certificate of the test's own authority; the cloud's is
plain and on loopback. Its files are written here, so that a test can give it any certificate.
"""

from pathlib import Path

from tests.enrolment_double import Pki
from tests.process import HOST, ROOT, Process, Server, accepts, find_program, free_port


class TlsBroker(Server):
    """`use` gives it another certificate from the next start on."""

    def __init__(self, folder: Path, pki: Pki, certificate: tuple[Path, Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.cloud_port = free_port(), free_port()
        self.process = Process(folder / "broker.log")
        self._folder, self._pki = folder, pki
        self.use(certificate)

    def password(self) -> str:
        """The cloud's listener asks for none."""
        return ""

    def use(self, certificate: tuple[Path, Path]) -> None:
        rules = self._folder / "terminals.acl"
        rules.write_text((ROOT / "broker_config" / "mosquitto" / "terminals.acl").read_text("utf-8"))
        rules.chmod(0o600)
        (self._folder / "mosquitto.conf").write_text(
            "user root\nper_listener_settings true\nlog_type all\n"
            f"listener {self.port} {HOST}\ncafile {self._pki.root_file}\ncertfile {certificate[0]}\nkeyfile {certificate[1]}\n"
            "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
            f"acl_file {rules}\n"
            f"listener {self.cloud_port} {HOST}\nallow_anonymous true\n"
        )

    def start(self) -> None:
        program = find_program("mosquitto", "mosquitto", Path("/usr/sbin"))
        command = [str(program), "-c", str(self._folder / "mosquitto.conf")]
        self.process.spawn(command, ready=lambda: accepts(self.port) and accepts(self.cloud_port))
