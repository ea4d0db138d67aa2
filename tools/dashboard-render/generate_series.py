#!/usr/bin/env python3
"""Writes six hours of an exporter's life, in OpenMetrics, to standard output.

    generate_series.py END baseline|incident

END is the last moment, in seconds since the epoch. Seven accounts are told: in the baseline data all is
as it should be but for a few failed polls; in the incident data each account has a trouble of its own.

Owns the story. Names, labels and kinds are the exporter's own: scripts/check-dashboards.py compares
them with a real page, so none can be made up here. Equal arguments write equal bytes.
"""

import math
import random
import sys
from dataclasses import dataclass, field

STEP = 15
HOUR = 3600
SPAN = 6 * HOUR
INTERVAL = 30
MAX_AGE = 3 * INTERVAL
JOB = {"job": "tradernet", "instance": "exporter.example:10460"}
REASONS = ("timeout", "network", "tls", "too_large", "rate_limited", "auth", "api_error", "http_status", "decode")
CLOSED = ("expired", "ended", "unknown")
TYPES = {2: "token", 3: "sms", 4: "password"}
SESSION = "tradernet_security_session"


@dataclass
class Session:
    """One session, open from `start` until `start + length`."""

    start: int
    length: int
    kind: int
    address: str
    login: str = "desk@example.com"

    @property
    def end(self):
        return self.start + self.length


@dataclass
class Account:
    """One account's plot; `fails` and `broken` are asked at each moment."""

    name: str
    sessions: list
    rules: tuple = ()
    fails: object = lambda _: None
    broken: object = lambda _: {}
    blocked_from: float = math.inf
    unreadable_from: float = math.inf
    stream: bool = False
    counters: dict = field(default_factory=dict)

    def count(self, name, by, **labels):
        key = (name, *labels.items())
        self.counters[key] = self.counters.get(key, 0) + by
        return self.counters[key]


class History:
    """Samples by family, in the order in which OpenMetrics wants them."""

    def __init__(self):
        self.families = {}

    def add(self, name, kind, labels, at, value):
        series = self.families.setdefault((name, kind), {})
        series.setdefault(tuple({**JOB, **labels}.items()), []).append((at, value))

    def write(self, out):
        suffix = {"counter": "_total", "histogram": "_bucket"}
        for (name, kind), series in self.families.items():
            out.write(f"# TYPE {name} {kind}\n")
            for labels, samples in series.items():
                text = ",".join(f'{label}="{value}"' for label, value in labels)
                for at, value in samples:
                    out.write(f"{name}{suffix.get(kind, '')}{{{text}}} {value:.10g} {at}\n")
        out.write("# EOF\n")

    def shapes(self):
        """Name on the page, kind and labels of every family; those that Prometheus makes are left out."""
        suffix = {"counter": "_total"}
        for (name, kind), series in self.families.items():
            if name != "up":
                labels = {label for labels in series for label, _ in labels} - set(JOB)
                yield name + suffix.get(kind, ""), kind, labels - {"le"}


def accounts(end, troubled):
    """The cast."""

    def since(seconds, value, otherwise):
        return (lambda t: value if t > end - seconds else otherwise) if troubled else (lambda _: otherwise)

    def flaky(t):
        ago = end - t + HOUR // 2
        if ago // 600 % 7 == 0 and ago % 600 < 120:
            return "timeout"
        return "rate_limited" if ago // 600 % 11 == 0 and ago % 600 < 60 else None

    begin = end - SPAN
    renewed = [Session(begin - HOUR + i * 4 * HOUR, 4 * HOUR + 1800, 2, "203.0.113.9", "bot@example.com") for i in range(3)]
    clients = [
        Session(end - 5 * HOUR + i * 1700, 5 * HOUR + 1800, 3 if i % 3 else 2, f"192.0.2.{i}", f"client{i}@example.com")
        for i in range(8)
    ]
    return [
        Account("bot", renewed, ("client_ip", "min_sessions")),
        Account(
            "desk-1",
            [
                Session(end - 5 * HOUR, 24 * HOUR, 3, "203.0.113.20"),
                Session(end - 4 * HOUR, 2 * HOUR, 4, "203.0.113.21"),
                Session(end - 5400, 8 * HOUR, 2, "203.0.113.22", "second@example.com"),
            ],
            ("client_ip", "max_sessions"),
            broken=since(2400, {"client_ip": 1}, {}),
        ),
        Account(
            "desk-2",
            [
                Session(begin - 60, SPAN + (20 * 60 if troubled else 5 * HOUR), 3, "198.51.100.7"),
                Session(end - 3 * HOUR, 2 * HOUR, 3, "198.51.100.8"),
            ],
            unreadable_from=end - 1800 if troubled else math.inf,
        ),
        Account("broker", clients, ("max_sessions",), flaky, since(2 * HOUR, {"max_sessions": 2}, {}), stream=True),
        Account(
            "night",
            [Session(begin - 60, 5 * HOUR if troubled else 20 * HOUR, 4, "203.0.113.77")],
            ("min_sessions",),
            broken=since(HOUR, {"min_sessions": 1}, {}),
        ),
        Account(
            "locked",
            [Session(begin - 60, 20 * HOUR, 4, "203.0.113.80")],
            fails=since(2 * HOUR, "auth", None),
            blocked_from=end - 2 * HOUR if troubled else math.inf,
        ),
        Account("empty", []),
    ]


def tell(history, account, times, chance):
    """One account from the first moment to the last."""
    answered = seen = None
    for i, now in enumerate(times):
        failure = account.fails(now)
        last, was_open = answered, seen
        if not failure:
            answered = now
            seen = [s for s in account.sessions if s.start <= now < s.end]

        def add(name, kind, value, **labels):
            history.add(name, kind, {"account": account.name, **labels}, now, value)  # noqa: B023

        polls = account.count("polls", 1 if i % 2 == 0 else 0)
        add("tradernet_polls", "counter", polls)
        for reason in REASONS:
            failed = account.count("failures", 1 if reason == failure and i % 2 == 0 else 0, reason=reason)
            add("tradernet_poll_failures", "counter", failed, reason=reason)
        add("tradernet_up", "gauge", 0 if failure else 1)
        add("tradernet_poll_interval_seconds", "gauge", INTERVAL)
        duration = 10 if failure == "timeout" else 0.12 + 0.05 * math.sin(now / 700) + chance.random() * 0.05
        add("tradernet_poll_duration_seconds", "gauge", duration)
        add("tradernet_poll_queue_seconds", "gauge", chance.random() * 0.01)
        blocked = now > account.blocked_from
        add("tradernet_login_blocked", "gauge", 1 if blocked else 0)
        add("tradernet_logins", "counter", 2 if blocked else 1)
        add("tradernet_login_failures", "counter", 1 if blocked else 0)
        if account.stream:
            add("tradernet_stream_connected", "gauge", 0 if failure else 1)
            again = account.count("reconnects", 1 if not failure and last is not None and now - last > STEP else 0)
            add("tradernet_stream_reconnects", "counter", again)

        if answered is None:
            continue
        add("tradernet_last_successful_poll_timestamp_seconds", "gauge", answered)
        opened = 0 if failure or was_open is None else sum(s not in was_open for s in seen)
        add(f"{SESSION}s_opened", "counter", account.count("opened", opened))
        gone = [] if failure or was_open is None else [s for s in was_open if s not in seen]
        for reason in CLOSED:
            closed = sum(("expired" if s.end <= now + 2 else "ended") == reason for s in gone)
            add(f"{SESSION}s_closed", "counter", account.count("closed", closed, reason=reason), reason=reason)
        if now - answered > MAX_AGE:
            continue
        left = [max(0, s.end - now) for s in seen]
        add(f"{SESSION}s_open", "gauge", len(seen))
        for kind, name in TYPES.items():
            of_kind = sum(s.kind == kind for s in seen)
            add(f"{SESSION}s_by_safety_type", "gauge", of_kind, safety_type_id=kind, safety_type=name)
        add(f"{SESSION}_expire_max_milliseconds", "gauge", 1000 * max(left, default=0))
        add(f"{SESSION}_expire_min_milliseconds", "gauge", 1000 * min(left, default=0))
        if seen:
            add(f"{SESSION}_max_expiry_timestamp_seconds", "gauge", max(s.end for s in seen))
            add(f"{SESSION}_min_expiry_timestamp_seconds", "gauge", min(s.end for s in seen))
            add(f"{SESSION}_max_lifetime_seconds", "gauge", max(s.length for s in seen))
        add(f"{SESSION}_client_ips", "gauge", len({s.address for s in seen}))
        add(f"{SESSION}_logins", "gauge", len({s.login for s in seen}))
        add(f"{SESSION}s_expire_unknown", "gauge", 0)
        add("tradernet_sessions_undecodable", "gauge", 1 if now > account.unreadable_from else 0)
        settled = i > 4
        add("tradernet_expire_unit_confirmed", "gauge", 1 if settled else 0)
        add("tradernet_expire_unit", "gauge", 1, unit="milliseconds")
        add("tradernet_expire_unit", "gauge", 0, unit="seconds")
        for rule in account.rules:
            add(f"{SESSION}s_violating", "gauge", account.broken(now).get(rule, 0), rule=rule)


def process(history, times, reload_failed_from):
    """What belongs to no account."""
    share = {"0.05": 0.05, "0.1": 0.4, "0.25": 0.9, "0.5": 0.97, "1": 0.993, "2.5": 0.996, "5": 0.998, "10": 1, "+Inf": 1}
    for i, now in enumerate(times):

        def add(name, kind, value, **labels):
            history.add(name, kind, labels, now, value)  # noqa: B023

        add("up", "gauge", 1)
        add("tradernet_exporter_build_info", "gauge", 1, version="0.1.0", revision="9b9a707", rustversion="1.95.0")
        add("tradernet_exporter_config_last_reload_successful", "gauge", 0 if now > reload_failed_from else 1)
        for le, part in share.items():
            add("tradernet_api_request_duration_seconds", "histogram", i * 3.5 * part, transport="http", le=le)
        add("process_cpu_seconds", "counter", i * STEP * 0.004 + 0.01 * math.sin(i / 50))
        add("process_resident_memory_bytes", "gauge", 7.5e6 + 2e5 * math.sin(i / 99))
        add("process_open_fds", "gauge", 19 + i % 3)
        add("process_max_fds", "gauge", 1024)
        add("process_start_time_seconds", "gauge", times[0] - 20)


def generate(end, data):
    """The whole story up to `end`."""
    end = end // STEP * STEP
    times = range(end - SPAN, end + 1, STEP)
    told, chance = History(), random.Random(4)
    for account in accounts(end, data == "incident"):
        tell(told, account, times, chance)
    process(told, times, end - 3000 if data == "incident" else math.inf)
    return told


def main(arguments):
    if len(arguments) != 2 or not arguments[0].isdigit() or arguments[1] not in ("baseline", "incident"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    generate(int(arguments[0]), arguments[1]).write(sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
