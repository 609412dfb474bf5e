"""What an outbox still held comes in by hand: once, only if it is the terminal's own, and also when it was revoked since."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import update

from cloud.attendance.models import Attendance
from cloud.audit.models import AuditEntry
from cloud.certificates import authorities, authority, issuing, proof
from cloud.certificates.issuing import CertificateKind
from cloud.certificates.models import Certificate, IssuingAuthority
from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.errors import CloudError
from cloud.ingest.accept import Delivery
from cloud.ingest.bringing import Bringing, Report
from cloud.ingest.line import Line
from cloud.ingest.models import CheckIn as Fact
from cloud.terminals.models import Terminal
from edge import identity
from edge.acknowledgement import Advance, judge
from edge.clock import Clock
from edge.errors import ExportFailed, OutboxInUse
from edge.export import Exported, export_outbox
from edge.identity import BrokerAt, Claim
from edge.outbox import Outbox
from edge.settings import Settings
from firmware_specs.messages import CheckIn, CredentialReference, Method, Outcome
from firmware_specs.wire import decode_stored
from tests.integration.town_line import count, marks, rows
from tests.ledgers import migrated
from tests.pen import now_us
from tests.process import ROOT
from tests.town import Town, person, settle

KIOSK, OTHER = "kiosk-1", "kiosk-2"


@dataclass
class Machine:
    """A claimed terminal's disk: its identity and its outbox, without an agent."""

    town: Town
    settings: Settings
    clock: Clock

    def open(self) -> Outbox:
        outbox = Outbox.open(self.settings.outbox_file, terminal=self.settings.terminal, clock=self.clock)
        known = identity.load(self.settings.identity_dir)
        assert known is not None
        outbox.signer = known.batch_signer()
        return outbox

    def check_in(self, *numbers: int) -> None:
        """Members show their cards."""
        outbox = self.open()
        for number in numbers:
            who = person(number)
            card = CredentialReference(issuer="TOWN", subject=who.subject, id=who.card, key_id="0a0b0c0d")
            stamp = self.clock.stamp(self.town.twins[self.settings.terminal])
            shown = CheckIn(
                **stamp, method=Method.QR, outcome=Outcome.ACCEPTED, credential=card, occurrence=self.town.occurrence
            )
            outbox.append([shown])
        outbox.close()

    def send(self, at_most: int, *, answered: bool) -> None:
        """One batch reaches the cloud; its answer may be lost."""
        outbox = self.open()
        batch = outbox.next_batch(at_most, 65_536)
        assert batch is not None
        result = Line(self.town.engine).ingest([Delivery(self.settings.terminal, batch.payload, to_us(utc_now()))])
        told = decode_stored(result.answers[0].payload)
        assert (told.through, told.error) == (batch.last, None)
        if answered:
            outbox.stored(batch.stream, batch.last, told.epoch)
        outbox.close()

    def export(self, name: str = "out.jsonl", *, everything: bool = False) -> Path:
        file = self.settings.data_dir / name
        export_outbox(self.settings, file, everything=everything)
        return file


def machine(town: Town, folder: Path, terminal: str = KIOSK) -> Machine:
    """Claimed at the town's authority, which is made with the first."""
    data = folder / terminal
    key = identity.pending_key(data / "identity")
    root = authority.make_root("Town", town.now)
    issuer = authority.make_intermediate(root, f"Town {terminal}", town.now)
    leaf = authority.make_terminal(issuer, terminal, key.public_key, town.now)
    with transaction(town.engine) as session:
        name = proof.key_id(_public(issuer))
        above = {"certificate": authorities.pem(issuer.certificate), "root": authorities.pem(root.certificate)}
        until = town.now + timedelta(days=900)
        row = IssuingAuthority(key_id=name, key_encrypted="", created_at=town.now, not_after_at=until, **above)
        session.add(row)
        session.flush()
        issuing.keep(session, row, leaf, CertificateKind.TERMINAL, town.now, terminal)
    claim = Claim(
        terminal=terminal,
        profile="kiosk",
        broker=BrokerAt(host="127.0.0.1", port=1),
        cloud_url="https://x",
        password="x",
    )
    chain = (authorities.pem(leaf) + authorities.pem(issuer.certificate)).encode()
    identity.keep_claim(data / "identity", claim, chain, authorities.pem(root.certificate).encode(), b"{}")
    settings = Settings(terminal=terminal, data_dir=data, broker={"host": "127.0.0.1"}, clock_trusted=True)  # type: ignore[arg-type]
    return Machine(town, settings, Clock(trusted=True))


def _public(of: authority.Authority) -> ec.EllipticCurvePublicKey:
    key = of.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


@pytest.fixture
def kiosk(town: Town, tmp_path: Path) -> Machine:
    return machine(town, tmp_path)


def bring(town: Town, file: Path) -> Report:
    with file.open("rb") as lines:
        return Bringing(town.engine, lines, utc_now).run()


def counts(report: Report) -> tuple[int, int, int]:
    every = report.streams.values()
    return sum(e.new for e in every), sum(e.repeated for e in every), sum(e.refused for e in every)


def reasons(report: Report) -> str:
    return " / ".join(why for each in report.streams.values() for why in each.reasons)


def shut_out(town: Town) -> None:
    """As revoking does it, and disabling besides."""
    with transaction(town.engine) as session:
        session.execute(update(Certificate).values(revoked_at=utc_now()))
        session.execute(update(Terminal).where(Terminal.id == KIOSK).values(enabled=False))


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def rewrite(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_revoked_terminals_records_come_in_and_count_once(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1, 2)
    shut_out(town)
    file = kiosk.export()
    assert counts(bring(town, file)) == (4, 0, 0)  # started, two cards, and the export's own started
    assert {row.member_id for row in rows(town, Attendance)} == {person(1).member, person(2).member}
    assert counts(bring(town, file)) == (0, 4, 0)
    assert (count(town, Fact), count(town, Attendance)) == (2, 2)
    assert marks(town) == []


def test_times_are_the_terminals_own_however_late_the_file_comes(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1)
    file = kiosk.export()
    with file.open("rb") as lines:
        Bringing(town.engine, lines, lambda: utc_now() + timedelta(days=40)).run()
    (fact,) = rows(town, Fact)
    assert abs(fact.effective_at - now_us()) < 60_000_000
    assert fact.received_at > now_us() + 39 * 86_400_000_000


def test_what_was_sent_without_an_answer_is_repeated_and_the_rest_is_new(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1, 2, 3)
    kiosk.send(2, answered=False)
    assert counts(bring(town, kiosk.export())) == (4, 2, 0)
    assert count(town, Fact) == 3


def test_terminal_that_comes_back_after_the_import_goes_on_from_there(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1, 2)
    bring(town, kiosk.export())
    kiosk.check_in(3)
    outbox = kiosk.open()
    question = outbox.question()
    delivery = Delivery(KIOSK, question.payload, to_us(utc_now()))
    told = decode_stored(Line(town.engine).ingest([delivery]).answers[0].payload)
    assert told.through == 4
    assert isinstance(judge(outbox.position(), told), Advance)
    outbox.stored(question.stream, 4, told.epoch)
    outbox.close()
    kiosk.send(200, answered=True)
    assert (count(town, Fact), marks(town)) == (3, [])


def test_all_that_is_kept_comes_back_into_a_cloud_that_forgot_it(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1, 2)
    kiosk.send(200, answered=True)
    waiting = kiosk.export("waiting.jsonl")
    everything = kiosk.export("all.jsonl", everything=True)
    assert counts(bring(town, waiting)) == (1, 0, 0)
    assert counts(bring(town, everything)) == (1, 5, 0)
    forgotten = _empty_twin_of(town)
    try:
        assert counts(bring(forgotten, waiting))[2] == 1
        assert "are missing before it: export again with --all" in reasons(bring(forgotten, waiting))
        assert counts(bring(forgotten, everything)) == (6, 0, 0)
    finally:
        forgotten.engine.dispose()


def _empty_twin_of(town: Town) -> Town:
    """A ledger with the same terminals and certificates, and nothing stored."""
    other = settle(migrated("sqlite://"), now=town.now)
    with transaction(town.engine, read_only=True) as session:
        givers = [(g.key_id, g.certificate, g.root, g.created_at, g.not_after_at) for g in rows(town, IssuingAuthority)]
        given = [
            {c.name: getattr(each, c.name) for c in Certificate.__table__.columns}
            for each in session.query(Certificate)
        ]
    with transaction(other.engine) as session:
        for key_id, certificate, root, created_at, not_after_at in givers:
            session.add(
                IssuingAuthority(
                    key_id=key_id, certificate=certificate, root=root, created_at=created_at, not_after_at=not_after_at,
                    key_encrypted="",
                )
            )  # fmt: skip
        session.flush()
        session.add_all([Certificate(**fields) for fields in given])
    return other


def test_changed_record_is_refused_with_all_after_it_and_nothing_else(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1)
    kiosk.send(1, answered=True)
    outbox = kiosk.open()
    outbox.next_batch(200, 65_536)  # fixes what there is, so that each record has a batch of its own
    outbox.close()
    file = kiosk.export()
    lines = lines_of(file)
    payload = base64.b64decode(lines[1]["payload"]).replace(person(1).card.encode(), person(2).card.encode())
    assert person(2).card.encode() in payload
    lines[1]["payload"] = base64.b64encode(payload).decode()
    rewrite(file, lines)
    report = bring(town, file)
    assert counts(report)[0] == 0
    assert "line 2" in reasons(report)
    assert "do not give the header's chain" in reasons(report)
    assert (count(town, Fact), marks(town)) == (0, [])


def test_file_of_another_terminal_is_refused_whatever_it_calls_itself(
    town: Town, kiosk: Machine, tmp_path: Path
) -> None:
    other = machine(town, tmp_path, OTHER)
    other.check_in(1)
    file = other.export()
    lines = lines_of(file)
    lines[0]["terminal"] = KIOSK
    rewrite(file, lines)
    report = bring(town, file)
    assert (report.terminal, counts(report)[0]) == (KIOSK, 0)
    assert "none of this terminal's" in reasons(report)
    assert (count(town, Fact), marks(town)) == (0, [])


def test_stream_that_is_another_terminals_stays_its_own(town: Town, kiosk: Machine, tmp_path: Path) -> None:
    """Its disk is a clone: the file lies in the other's folder, and is signed there."""
    other = machine(town, tmp_path, OTHER)
    other.check_in(1)
    other.send(200, answered=True)
    kiosk.settings.data_dir.mkdir(exist_ok=True)
    (kiosk.settings.data_dir / "outbox.db").write_bytes(other.settings.outbox_file.read_bytes())
    report = bring(town, kiosk.export(everything=True))
    assert counts(report)[2] == 0  # the export begins a new stream of its own, as the agent would
    assert count(town, Fact) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"\xff\n", b'{"v":1,"terminal":"kiosk-1","certificates":[]}\n']
)
def test_what_is_no_exported_outbox_is_refused_whole(
    town: Town, kiosk: Machine, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "no.jsonl"
    file.write_bytes(content)
    with pytest.raises(CloudError, match="no exported outbox"):
        bring(town, file)


def test_terminal_that_is_not_known_or_never_had_a_certificate_is_refused(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1)
    lines = lines_of(kiosk.export())
    file = kiosk.settings.data_dir / "other.jsonl"
    for terminal, says in (("nobody", "There is no terminal nobody"), (OTHER, "never had a certificate")):
        rewrite(file, [lines[0] | {"terminal": terminal}, *lines[1:]])
        with pytest.raises(CloudError, match=says):
            bring(town, file)


def test_spoilt_lines_are_counted_and_the_whole_ones_before_them_come_in(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1)
    file = kiosk.export()
    with file.open("ab") as out:
        out.write(b'{"stream":1}\nrubbish\n{"v":')
    report = bring(town, file)
    assert counts(report) == (3, 0, 3)
    assert all(f"line {number}" in reasons(report) for number in (3, 4, 5))


def test_disk_that_was_put_back_is_refused_where_it_differs_and_marks_nobody(town: Town, kiosk: Machine) -> None:
    kiosk.check_in(1)
    before = kiosk.settings.outbox_file.read_bytes()
    kiosk.check_in(2)
    kiosk.send(200, answered=True)
    kiosk.settings.outbox_file.write_bytes(before)
    kiosk.check_in(3)
    report = bring(town, kiosk.export(everything=True))
    assert counts(report)[0] == 0
    assert "the disk was put back" in reasons(report) or "in the midst of a batch" in reasons(report)
    assert (count(town, Fact), marks(town)) == (2, [])


def test_export_without_an_outbox_makes_none(kiosk: Machine) -> None:
    with pytest.raises(ExportFailed, match="There is no outbox"):
        kiosk.export()
    assert not kiosk.settings.outbox_file.exists()


def test_export_refuses_a_file_that_exists_and_an_outbox_in_use(kiosk: Machine) -> None:
    kiosk.check_in(1)
    file = kiosk.export()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ExportFailed, match="does not exist yet"):
        export_outbox(kiosk.settings, file)
    outbox = kiosk.open()
    with pytest.raises(OutboxInUse):
        kiosk.export("again.jsonl")
    outbox.close()


def test_what_is_said_of_an_export_says_who_signed(kiosk: Machine) -> None:
    kiosk.check_in(1)
    done = export_outbox(kiosk.settings, kiosk.settings.data_dir / "out.jsonl")
    assert isinstance(done, Exported)
    assert f"signed by key {done.signed}" in str(done)
    assert (done.first, done.last) == (1, 3)


def command(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", program, *arguments]
    return subprocess.run(
        run, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=300
    )


def test_commands_say_by_stream_what_came_in_and_the_audit_says_who_did_it(
    town: Town, kiosk: Machine, tmp_path: Path
) -> None:
    kiosk.check_in(1)
    shut_out(town)
    file = str(tmp_path / "out.jsonl")
    said = command("edge", "export", "outbox", file, "--data-dir", str(kiosk.settings.data_dir))
    assert (said.returncode, "records 1 to 3 of stream" in said.stdout) == (0, True), said.stderr
    url = town.engine.url.render_as_string(hide_password=False)
    cloud = {"ROOMLINK_DATABASE_URL": url, "ROOMLINK_DATA_DIR": str(tmp_path)}
    for what in ("3 new, 0 repeated, 0 refused", "0 new, 3 repeated, 0 refused"):
        done = command("cloud", "import", "outbox", file, **cloud)
        assert (done.returncode, done.stdout.rstrip().endswith(what)) == (0, True), done.stderr
        assert done.stdout.startswith(f"{KIOSK}\t")
    with Path(file).open("ab") as out:
        out.write(b"rubbish\n")
    spoilt = command("cloud", "import", "outbox", file, **cloud)
    assert (spoilt.returncode, "line 3" in spoilt.stderr) == (1, True)
    none = command("cloud", "import", "outbox", str(ROOT / "README.md"), **cloud)
    assert (none.returncode, none.stderr.startswith("It is no exported outbox")) == (2, True)
    noted = [(each.action, each.who, each.subject) for each in rows(town, AuditEntry)]
    assert noted == [
        (action, "command line", KIOSK) for _ in range(3) for action in ("outbox.import", "outbox.imported")
    ]
