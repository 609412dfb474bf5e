"""What the machine tells of its power and its way to the network, read from /sys and /proc (Linux).

Promises to leave out what the machine does not tell, and never to fail: a file that is not there, or is written otherwise,
is no measurement. Called by the health sampler.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RTF_UP: Final = 0x1
"""Of a route's flags (linux/route.h): it may be used."""
UNDER_VOLTAGE: Final = 0x1
"""Of get_throttled (the Raspberry Pi's firmware): the voltage is too low now; the bits above remember earlier times."""
ERRORS: Final = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the kernel's files lie."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")

    def power(self) -> dict[str, float]:
        """`under_voltage`, 1 or 0, where the hardware tells: the Raspberry Pi's sensor (Documentation/hwmon/raspberrypi-hwmon),
        or its firmware's own word on older kernels."""
        for sensor in sorted(self.sys.glob("class/hwmon/hwmon*")):
            if _text(sensor / "name") == "rpi_volt":
                alarm = _number(sensor / "in0_lcrit_alarm")
                return {} if alarm is None else {"under_voltage": float(alarm > 0)}
        with contextlib.suppress(ValueError):
            throttled = int(_text(self.sys / "devices/platform/soc/soc:firmware/get_throttled"), 16)
            return {"under_voltage": float(throttled & UNDER_VOLTAGE)}
        return {}

    def network(self) -> dict[str, float]:
        """Whether a way leads out, over the air or by wire, how well it is heard, and what went wrong on it since it is up."""
        name = self.way_out()
        if name is None:
            return {"network_up": 0.0}
        card = self.sys / "class" / "net" / name
        metrics = {
            "network_up": float(_text(card / "operstate") not in {"down", "lowerlayerdown", "notpresent"}),
            "network_wireless": float((card / "wireless").exists() or (card / "phy80211").exists()),
        }
        errors = [_number(card / "statistics" / each) for each in ERRORS]
        if None not in errors:
            metrics["network_errors"] = float(sum(each for each in errors if each is not None))
        signal_dbm = self._signal_dbm(name)
        return metrics if signal_dbm is None else metrics | {"network_signal_dbm": signal_dbm}

    def way_out(self) -> str | None:
        """The interface of the default route of least metric: of IPv4, or else of IPv6 (proc(5), net/route, net/ipv6_route)."""
        ways = []
        for line in _text(self.proc / "net/route").splitlines()[1:]:
            fields = line.split()
            with contextlib.suppress(ValueError, IndexError):
                if int(fields[1], 16) == 0 and int(fields[7], 16) == 0 and int(fields[3], 16) & RTF_UP:
                    ways.append((0, int(fields[6]), fields[0]))
        for line in _text(self.proc / "net/ipv6_route").splitlines():
            fields = line.split()
            with contextlib.suppress(ValueError, IndexError):
                if int(fields[0], 16) == 0 and fields[1] == "00" and int(fields[8], 16) & RTF_UP and fields[9] != "lo":
                    ways.append((1, int(fields[5], 16), fields[9]))
        return min(ways)[2] if ways else None

    def _signal_dbm(self, name: str) -> float | None:
        """The level that the wireless card hears, of net/wireless; drivers that tell a relative one tell none here."""
        for line in _text(self.proc / "net/wireless").splitlines()[2:]:
            card, _, rest = line.strip().partition(":")
            with contextlib.suppress(ValueError, IndexError):
                level = float(rest.split()[2])
                if card == name and level < 0:
                    return level
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None
