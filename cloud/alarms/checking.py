"""What is wrong in a rule, field by field, before it is kept. Pure."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from cloud.alarms.measures import is_switch, metrics
from cloud.alarms.rules import Compare, RuleKind
from cloud.errors import Fault

if TYPE_CHECKING:
    from cloud.alarms.ruling import RuleForm

MARKS: Final = (
    "two_devices", "fork", "damaged", "foreign_stream", "bad_signature", "broken", "broken_state", "too_many_streams",
    "unknown_version", "too_large",
)  # fmt: skip
"""What ingest writes on a terminal's row (cloud/ingest/alarm.py, cloud/ingest/accept.py)."""

USED: Final[Mapping[RuleKind, frozenset[str]]] = {
    RuleKind.THRESHOLD: frozenset({"metric", "compare", "level", "clear_level"}),
    RuleKind.RATE: frozenset({"metric", "compare", "level", "clear_level"}),
    RuleKind.TREND: frozenset({"metric", "compare", "level", "days"}),
    RuleKind.ABSENCE: frozenset(),
    RuleKind.VERSION: frozenset({"wanted"}),
    RuleKind.NOTHING_STORED: frozenset(),
    RuleKind.MARK: frozenset({"mark"}),
    RuleKind.REVOCATION_LIST: frozenset({"days"}),
}
"""By kind: the fields beside name, severity, scope and durations."""
OPTIONAL: Final = frozenset({"clear_level", "wanted"})
LEAST_S: Final[Mapping[RuleKind, int]] = {RuleKind.ABSENCE: 30, RuleKind.NOTHING_STORED: 120}
"""Shorter would raise what is normal: a moment without a network, a pause between two samples."""


def faults_of(form: "RuleForm") -> Iterator[Fault]:
    """Everything that is wrong by itself, whatever terminals there are."""
    used = USED[form.kind]
    for name in sorted(frozenset().union(*USED.values())):
        given = getattr(form, name) is not None
        if given and name not in used:
            yield _fault(name, f"is not used by a rule of the kind {form.kind}", "not_used")
        elif not given and name in used and name not in OPTIONAL:
            yield _fault(name, "is needed", "missing")
    if form.for_s < LEAST_S.get(form.kind, 0):
        least = LEAST_S[form.kind]
        yield _fault("for_s", f"must be {least} at least", "greater_than_equal", ge=least)
    if form.kind is RuleKind.REVOCATION_LIST and (form.organisation_id or form.room_id or form.terminal_kind):
        yield _fault("organisation_id", "is left out: the list is one for all", "not_used")
    if form.kind is RuleKind.MARK and form.mark is not None and form.mark not in MARKS:
        yield _fault(
            "mark", f"there is no mark {form.mark!r}; there are: {', '.join(MARKS)}", "no_mark", known=", ".join(MARKS)
        )
    if "metric" in used and form.metric is not None:
        yield from _metric_faults(form)


def _metric_faults(form: "RuleForm") -> Iterator[Fault]:
    assert form.metric is not None  # noqa: S101
    wanted = "counter" if form.kind is RuleKind.RATE else "gauge" if form.kind is RuleKind.TREND else None
    there = metrics(form.terminal_kind)
    known = [name for name, metric in there.items() if wanted in {None, metric.kind}]
    if form.metric not in known:
        of = f"{wanted} metric" if wanted else "metric"
        says = f"there is no {of} {form.metric[:60]!r}; there are: {', '.join(known)}"
        yield _fault("metric", says, f"no_{wanted or 'metric'}", name=form.metric[:60], known=", ".join(known))
        return
    metric, level, clear = there[form.metric], form.level, form.clear_level
    if form.kind is RuleKind.TREND and is_switch(form.metric):
        says = f"{form.metric} is only 0 or 1 and grows towards nothing; take a rule about its value"
        yield _fault("metric", says, "trend_switch", name=form.metric)
        return
    if level is None:
        return
    if form.kind is RuleKind.RATE and (form.compare is Compare.BEYOND or level <= 0):
        yield _fault("level", "must be above 0, compared by above or below", "rate_level")
    if form.kind is RuleKind.TREND and form.compare is Compare.BEYOND:
        yield _fault("compare", "must be above or below", "trend_compare")
    if form.kind is not RuleKind.RATE and not metric.low <= level <= metric.high:
        says = f"{form.metric} lies between {metric.low:g} and {metric.high:g}"
        yield _fault("level", says, "metric_range", name=form.metric, low=f"{metric.low:g}", high=f"{metric.high:g}")
    below = form.compare is Compare.BELOW
    if clear is not None and (clear < level if below else clear > level):
        side = "below" if below else "above"
        yield _fault("clear_level", f"must not lie {side} the level", f"clear_{side}")


def _fault(field: str, says: str, code: str, **values: object) -> Fault:
    return Fault(f"body.{field}", says, code, values)
