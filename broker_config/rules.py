"""The rules of a broker of Roomlink, in the order in which `python -m broker_config check` tries them.

Promises that each says in one line what holds, and what to change in mosquitto.conf (in emqx.conf likewise) where it does not.
"""

from dataclasses import replace
from typing import Final

from broker_config import check
from broker_config.check import Broker, Rule


def _admits(broker: Broker) -> bool:
    broker.terminal().close()
    return True


def _refuses_nobody_knows_whom(broker: Broker) -> bool:
    """Neither over TLS without a certificate, by name or without, nor in clear."""
    ask = broker.ask()
    strangers = [ask, replace(ask, user=None, client_id="check-stranger"), replace(ask, tls=None)]
    return all(check.is_refused(each) for each in strangers)


def _refuses_revoked(broker: Broker) -> bool | None:
    return None if broker.revoked is None else check.is_refused(broker.ask(broker.revoked))


def _writes_its_own(broker: Broker) -> bool:
    with broker.terminal() as probe:
        return probe.may_publish(check.state_of(broker.own), b"")


def _keeps_strangers_from_the_clouds_listener(broker: Broker) -> bool | None:
    if broker.cloud_port is None:
        return None
    ask = replace(broker.ask(), port=broker.cloud_port, tls=None, client_id="check-stranger")
    try:
        return all(check.is_refused(each) for each in (ask, replace(ask, user=None)))
    except OSError:  # nobody reaches it from here, which is how it should be
        return True


RULES: Final = (
    Rule(
        "the broker proves itself by a certificate of this authority, and admits this terminal's",
        "Compare HOST with the names in `certfile`, and --ca with the root; see whether its certificate has expired.",
        _admits,
        needed=True,
    ),
    Rule(
        "nobody gets in without a certificate",
        "Set `require_certificate true`, `use_identity_as_username true` and `allow_anonymous false` on the terminals' listener.",
        _refuses_nobody_knows_whom,
    ),
    Rule(
        "a certificate of another authority is refused",
        "Let `cafile` hold your own root and intermediates and nothing else, and set `require_certificate true`.",
        check.refuses_other_authority,
    ),
    Rule(
        "a revoked certificate is refused",
        "Set `crlfile`, see that `python -m broker_config watch` runs and what it says, and look for"
        ' "Unable to load certificate revocation file" in the broker\'s log: then it lets everyone in.',
        _refuses_revoked,
    ),
    Rule("TLS 1.0 and 1.1 are refused", "Set `tls_version tlsv1.2`.", check.refuses_old_tls),
    Rule(
        "the client id is the certificate's name, whatever the terminal says",
        "Set `use_username_as_clientid true` on the terminals' listener, and on no other.",
        check.ties_client_ids,
    ),
    Rule(
        "a terminal writes its own up/state",
        "Set `use_identity_as_username true`, and `acl_file` to terminals.acl.",
        _writes_its_own,
    ),
    Rule(
        "a terminal writes nowhere else",
        "Set `acl_file` to terminals.acl, unchanged, on the terminals' listener.",
        check.writes_only_below_its_own_up,
    ),
    Rule(
        "a terminal writes no topic below its own up/ that the contract does not name",
        "Name each topic in `acl_file`, as terminals.acl does, and not up/#: retained messages would be kept without end.",
        check.writes_named_topics_only,
    ),
    Rule(
        "a terminal is delivered nothing but what lies below its own down/",
        "Set `acl_file` to terminals.acl, unchanged, on the terminals' listener.",
        check.reads_only_below_its_own_down,
    ),
    Rule(
        "a will outside the own subtree is dropped",
        "Set `acl_file` to terminals.acl, unchanged, on the terminals' listener.",
        check.drops_foreign_wills,
    ),
    Rule(
        "a packet beyond the announced limit, of at most 1 MiB, ends the connection",
        "Set `max_packet_size 1048576`.",
        check.refuses_larger_packets,
    ),
    Rule("a keepalive is at most ten minutes", "Set `max_keepalive 300`.", check.bounds_keepalive),
    Rule(
        "nobody gets in at the cloud's listener without its password",
        "Set `allow_anonymous false` and `password_file` there, and let only the cloud reach that port.",
        _keeps_strangers_from_the_clouds_listener,
    ),
)
