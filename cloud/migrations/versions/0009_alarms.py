"""Alarms: rules with those that everybody needs, alarms, what happened to them, and the newest health of each terminal."""

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BUILT_IN: tuple[dict[str, Any], ...] = (
    {
        "name": "终端离线", "name_en": "Terminal offline", "kind": "absence", "severity": "critical", "for_s": 300,
        "todo": "看电源和网络。签到照常，记录留在终端，恢复后自动上传。",
        "todo_en": "Check power and network. Check-in goes on; records stay on the terminal and come by themselves.",
    },
    {
        "name": "在线，但没有存入任何记录", "name_en": "Connected, but nothing is stored", "kind": "nothing_stored",
        "severity": "critical", "for_s": 900,
        "todo": "看终端页的证据和隔离区；记录还在终端上。再看云端的收录是否正常，最后重启终端程序。",
        "todo_en": "Look at the terminal's evidence and at the quarantine; the records are still on the terminal. See "
        "whether the cloud's ingest works, then restart the agent.",
    },
    {
        "name": "最旧的待传记录超过一小时", "name_en": "Oldest record waits for more than an hour", "kind": "threshold",
        "severity": "warning", "metric": "outbox_age_s", "compare": "above", "level": 3600.0, "clear_level": 600.0,
        "for_s": 600, "todo": "网络是否太慢，云端是否收得过来？记录没有丢，只是晚到。",
        "todo_en": "Is the network too slow, or the cloud too busy? Nothing is lost, it only comes late.",
    },
    {
        "name": "磁盘快满", "name_en": "Disk nearly full", "kind": "threshold", "severity": "warning",
        "metric": "disk_percent", "compare": "above", "level": 90.0, "clear_level": 85.0, "for_s": 300,
        "todo": "清理终端磁盘上不属于本系统的文件，或换一块大的。满了以后终端会暂停签到。",
        "todo_en": "Remove what is not ours from the terminal's disk, or fit a larger one. A full terminal stops checking in.",
    },
    {
        "name": "磁盘七天内会满", "name_en": "Disk full within seven days", "kind": "trend", "severity": "warning",
        "metric": "disk_free_bytes", "compare": "below", "level": 0.0, "days": 7.0, "clear_for_s": 3600,
        "todo": "按最近三天的变化推算。找出在增长的文件，清理或换盘。",
        "todo_en": "Reckoned from the last three days. Find what grows; remove it, or change the disk.",
    },
    {
        "name": "温度过高", "name_en": "Too hot", "kind": "threshold", "severity": "warning", "metric": "temperature_c",
        "compare": "above", "level": 80.0, "clear_level": 75.0, "for_s": 300,
        "todo": "看通风口是否被挡住，风扇是否在转，太阳是否直晒。",
        "todo_en": "See whether the vents are covered, the fan turns, the sun shines on it.",
    },
    {
        "name": "内存不足", "name_en": "Memory nearly used up", "kind": "threshold", "severity": "warning",
        "metric": "memory_percent", "compare": "above", "level": 95.0, "clear_level": 90.0, "for_s": 600,
        "todo": "重启终端程序；再次出现就查是哪个程序占用。",
        "todo_en": "Restart the agent; if it comes back, find the program that takes the memory.",
    },
    {
        "name": "处理器一直很忙", "name_en": "Processor busy all the time", "kind": "threshold", "severity": "info",
        "metric": "cpu_percent", "compare": "above", "level": 95.0, "clear_level": 85.0, "for_s": 900,
        "todo": "看是哪个程序占用；签到可能变慢。",
        "todo_en": "Find the program that is busy; check-in may be slow.",
    },
    {
        "name": "时钟不准", "name_en": "Clock is off", "kind": "threshold", "severity": "warning",
        "metric": "clock_offset_ms", "compare": "beyond", "level": 5000.0, "clear_level": 1000.0, "for_s": 300,
        "todo": "看终端能否连上对时服务器（NTP）。记录仍按认定时间计算。",
        "todo_en": "See whether the terminal reaches its time server (NTP). Records still count by their effective time.",
    },
    {
        "name": "画面没有响应", "name_en": "The screen's page does not answer", "kind": "threshold", "severity": "critical",
        "metric": "page_alive", "compare": "below", "level": 0.5, "clear_level": 0.5, "for_s": 180,
        "todo": "重启终端程序；不行就重启终端。现场请到服务台登记。",
        "todo_en": "Restart the agent; if that does not help, reboot. Meanwhile people sign in at the desk.",
    },
    {
        "name": "摄像头没有画面", "name_en": "Camera gives no picture", "kind": "threshold", "severity": "critical",
        "terminal_kind": "kiosk", "metric": "camera_fps", "compare": "below", "level": 0.5, "clear_level": 1.0, "for_s": 300,
        "todo": "看摄像头的线和镜头盖。访客按钮和人工录入照常可用。",
        "todo_en": "Check the camera's cable and cover. The guest button and staff entry still work.",
    },
    {
        "name": "程序版本与多数终端不同", "name_en": "Version differs from most terminals", "kind": "version",
        "severity": "info", "for_s": 86400,
        "todo": "看这台终端为什么没有更新。", "todo_en": "Find out why this terminal was not updated.",
    },
    {
        "name": "两台设备用同一身份", "name_en": "Two devices with one identity", "kind": "mark", "severity": "critical",
        "mark": "two_devices", "todo": "有人复制了磁盘或密钥。找到另一台并关掉；停用这台的证书，重新认领。",
        "todo_en": "A disk or a key was copied. Find the other device and switch it off; revoke the certificate and claim anew.",
    },
    {
        "name": "记录分叉", "name_en": "Records forked", "kind": "mark", "severity": "warning", "mark": "fork",
        "todo": "磁盘被还原或复制过。终端会自己另起一条记录流；看终端页，确认后取消标记。",
        "todo_en": "A disk was put back or copied. The terminal goes on in a new stream; look, then take the mark away.",
    },
    {
        "name": "磁盘损坏过", "name_en": "Disk was damaged", "kind": "mark", "severity": "warning", "mark": "damaged",
        "todo": "终端丢了一段记录并且说明了。看缺口，换盘，确认后取消标记。",
        "todo_en": "The terminal lost records and said so. Look at the gap, change the disk, then take the mark away.",
    },
    {
        "name": "撤销列表快到期", "name_en": "Revocation list ends soon", "kind": "revocation_list", "severity": "critical",
        "days": 7.0, "todo": "列表本应每天更新：看云端服务和证书机构的密钥文件。到期后所有终端都连不上。",
        "todo_en": "It should be made anew daily: see that the service runs and has the authority's key file. When it ends, no "
        "terminal can connect.",
    },
)  # fmt: skip
"""Of each rule what differs from `_PLAIN`."""

_PLAIN: dict[str, Any] = {
    "enabled": True, "organisation_id": None, "room_id": None, "terminal_kind": None, "metric": None, "compare": None,
    "level": None, "clear_level": None, "for_s": 0, "clear_for_s": 0, "days": None, "wanted": None, "mark": None,
    "version": 1, "deleted_at": None,
}  # fmt: skip


def upgrade() -> None:
    """Make the tables, and the rules. There is no way back but a backup."""
    rules = op.create_table(
        "alarm_rules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("terminal_kind", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("compare", sa.Text(), nullable=True),
        sa.Column("level", sa.Double(), nullable=True),
        sa.Column("clear_level", sa.Double(), nullable=True),
        sa.Column("for_s", sa.Integer(), nullable=False),
        sa.Column("clear_for_s", sa.Integer(), nullable=False),
        sa.Column("days", sa.Double(), nullable=True),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.Column("todo_en", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_alarm_rules_organisation_id")),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name=op.f("fk_alarm_rules_room_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_rules")),
    )
    _make_alarms()
    _make_what_is_known()
    now_at = time.time_ns() // 1000
    op.bulk_insert(rules, [{**_PLAIN, **each, "id": f"alr_{number:016x}", "created_at": now_at}
                           for number, each in enumerate(BUILT_IN, 1)])  # fmt: skip


def _make_alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("reach", sa.Text(), nullable=False),
        sa.Column("place_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.Column("cleared_why", sa.Text(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("snoozed_until_at", sa.BigInteger(), nullable=True),
        sa.Column("snoozed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["rule_id"], ["alarm_rules.id"], name=op.f("fk_alarms_rule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    active, is_open = sa.text("cleared_at IS NULL"), sa.text("over_at IS NULL")
    op.create_index("ix_alarms_raised_at", "alarms", ["raised_at", "id"])
    op.create_index("ix_alarms_cleared_at", "alarms", ["cleared_at"])
    op.create_index("ix_alarms_active", "alarms", ["rule_id"], sqlite_where=active, postgresql_where=active)
    op.create_table(
        "alarm_members",
        sa.Column("alarm_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("over_at", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name=op.f("fk_alarm_members_alarm_id")),
        sa.PrimaryKeyConstraint("alarm_id", "terminal_id", name=op.f("pk_alarm_members")),
    )
    op.create_index(
        "ix_alarm_members_open",
        "alarm_members",
        ["rule_id", "terminal_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index("ix_alarm_members_terminal_id", "alarm_members", ["terminal_id", "raised_at"])
    op.create_table(
        "alarm_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alarm_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name=op.f("fk_alarm_events_alarm_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_events_alarm_id", "alarm_events", ["alarm_id", "id"])


def _make_what_is_known() -> None:
    op.create_table(
        "alarm_conditions",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("well_since_at", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "terminal_id", name=op.f("pk_alarm_conditions")),
    )
    op.create_table(
        "newest_health",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_newest_health")),
    )
    op.create_table(
        "alarm_trails",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "terminal_id", name=op.f("pk_alarm_trails")),
    )
    progress = op.create_table(
        "alarm_progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_progress")),
    )
    newest = op.get_bind().scalar(sa.text("SELECT COALESCE(MAX(id), 0) FROM journal"))
    op.bulk_insert(progress, [{"id": 1, "journal_id": newest, "turn": 0}])
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("terminal_id", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_maintenance_windows_organisation_id")
        ),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name=op.f("fk_maintenance_windows_room_id")),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_maintenance_windows_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
    )
    op.create_index("ix_maintenance_windows_ends_at", "maintenance_windows", ["ends_at", "id"])
