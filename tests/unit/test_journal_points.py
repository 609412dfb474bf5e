"""Points say what the records said, however a terminal's firmware spelt its numbers and words."""

import uuid

import pytest

from cloud.journal.format import Fixed
from cloud.journal.points import points_of
from cloud.journal.reading import Entry
from firmware_specs.messages import Health
from firmware_specs.wire import decode_record

STAMP = f'"id":"{uuid.UUID(int=5)}","at":1764200000000000,"boot":"{uuid.UUID(int=6)}","mono_ms":5,"clock":"synced","config":[1,1]'


@pytest.mark.parametrize(
    "metrics",
    [
        '{"cpu_percent":12.5,"outbox_depth":3}',
        '{"cpu_percent":1.25e1,"outbox_depth":0.30000000000000004}',
        '{"cpu_percent":-0.0,"outbox_depth":999999999999999.9}',
        '{ "cpu\\u005fpercent" : 2E-3 ,\t"outbox_depth":4.9406564584124654e-324}',
    ],
)
def test_health_becomes_a_point_with_the_very_numbers_that_the_contract_read(metrics: str) -> None:
    line = f'{{"type":"health",{STAMP},"metrics":{metrics}}}'.encode()
    record = decode_record(line)
    assert isinstance(record, Health)
    fixed = Fixed([7], [0], [0], [0], [0], [("rm_302", "org_town")], {}, "kiosk")
    (point,) = points_of([Entry("kiosk-1", str(uuid.UUID(int=7)), 1, 7, (line,), fixed)], {})
    assert dict(point.fields) == record.metrics
