"""What the machine tells of its power and its way to the network; what it does not tell is left out."""

from pathlib import Path

import pytest

from edge.machine import Machine

ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
WIRELESS = (
    "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
    " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "sys", tmp_path / "proc")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def card(
    machine: Machine, name: str, *, state: str = "up", wireless: bool = False, errors: tuple[int, ...] = (1, 2, 3, 4)
) -> None:
    folder = machine.sys / "class" / "net" / name
    write(folder / "operstate", f"{state}\n")
    for file, count in zip(("rx_errors", "tx_errors", "rx_dropped", "tx_dropped"), errors, strict=False):
        write(folder / "statistics" / file, f"{count}\n")
    if wireless:
        (folder / "wireless").mkdir()


def route(name: str, *, to: str = "00000000", flags: str = "0003", metric: int = 100, mask: str = "00000000") -> str:
    return f"{name}\t{to}\t0101A8C0\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def test_machine_that_tells_nothing_has_no_way_out_and_no_word_of_its_power(machine: Machine) -> None:
    assert machine.power() == {}
    assert machine.network() == {"network_up": 0.0}


@pytest.mark.parametrize(("alarm", "told"), [("1", {"under_voltage": 1.0}), ("0", {"under_voltage": 0.0}), ("?", {})])
def test_sensor_of_the_supply_tells_of_under_voltage(machine: Machine, alarm: str, told: dict[str, float]) -> None:
    write(machine.sys / "class/hwmon/hwmon0/name", "cpu_thermal\n")
    write(machine.sys / "class/hwmon/hwmon1/name", "rpi_volt\n")
    write(machine.sys / "class/hwmon/hwmon1/in0_lcrit_alarm", f"{alarm}\n")
    assert machine.power() == told


@pytest.mark.parametrize(("bits", "under"), [("0x0", 0.0), ("50005", 1.0), ("50000", 0.0), ("0x1", 1.0)])
def test_firmware_tells_of_under_voltage_now_and_not_of_earlier_times(
    machine: Machine, bits: str, under: float
) -> None:
    write(machine.sys / "devices/platform/soc/soc:firmware/get_throttled", f"{bits}\n")
    assert machine.power() == {"under_voltage": under}


def test_way_out_is_the_default_route_of_least_metric(machine: Machine) -> None:
    write(machine.proc / "net/route", ROUTES + route("eth1", metric=200) + route("eth0", to="0001A8C0", mask="00FFFFFF")
          + route("wlan0", metric=50, flags="0002") + route("eth0"))  # fmt: skip
    card(machine, "eth0")
    assert machine.way_out() == "eth0"
    assert machine.network() == {"network_up": 1.0, "network_wireless": 0.0, "network_errors": 10.0}


def test_cable_that_was_pulled_is_told(machine: Machine) -> None:
    write(machine.proc / "net/route", ROUTES + route("eth0"))
    card(machine, "eth0", state="down", errors=())
    assert machine.network() == {"network_up": 0.0, "network_wireless": 0.0}


@pytest.mark.parametrize(("level", "told"), [("-56.", -56.0), ("-71", -71.0), ("44.", None), ("x", None)])
def test_wireless_way_out_tells_its_signal(machine: Machine, level: str, told: float | None) -> None:
    write(machine.proc / "net/route", ROUTES + route("wlan0"))
    write(
        machine.proc / "net/wireless",
        WIRELESS + f" wlan0: 0000   54.  {level}  -256        0      0      0      0      0        0\n",
    )
    card(machine, "wlan0", wireless=True)
    assert machine.network().get("network_signal_dbm") == told
    assert machine.network()["network_wireless"] == 1.0


def test_way_out_over_ipv6_alone_counts(machine: Machine) -> None:
    zeros = "0" * 32
    gone = f"{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n"
    out = f"{zeros} 00 {zeros} 00 fe80{'0' * 24}0001 00000400 00000001 00000000 00450003     eth0\n"
    write(machine.proc / "net/ipv6_route", gone + out)
    card(machine, "eth0")
    assert machine.way_out() == "eth0"
