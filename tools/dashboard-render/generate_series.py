#!/usr/bin/env python3
"""Writes the series of made-up exporters, in OpenMetrics, to standard output.

    generate_series.py END baseline|incident|fleet

END is the last moment, in seconds since the epoch. baseline: six hours of seven accounts with nothing
but a few failed polls. incident: the same accounts, each with a problem of its own. fleet: an hour of
200 accounts and two exporters, one of which stops after half of it.

Names, types and labels are the exporter's: scripts/check-dashboards.py compares them with an
exposition. Equal arguments write equal bytes.
"""

import math
import random
import sys
from dataclasses import dataclass, field, replace

STEP = 15
HOUR = 3600
INTERVAL = 30
MAX_AGE = 3 * INTERVAL
JOB = "tradernet"
INSTANCE = "exporter.example:10460"
REASONS = (
    "credential", "timeout", "network", "tls", "too_large", "rate_limited", "auth", "api_error", "http_status", "internal", "decode",
)  # fmt: skip
CLOSE_REASONS = ("expired", "ended", "unknown")
SAFETY_TYPES = {2: "token", 3: "sms", 4: "password"}
RULES = ("client_ip", "login", "safety_type", "lifetime", "max_sessions", "min_sessions")
SESSION = "tradernet_security_session"


@dataclass
class Session:
    """One session, open from `start` until `start + length`."""

    start: int
    length: int
    safety_type: int
    address: str
    login: str = "desk@example.com"

    @property
    def end(self):
        return self.start + self.length


def never(_):
    """No failure."""


@dataclass
class Account:
    """One account; `fails` and `broken` are called with the time and return a reason, and counts by rule."""

    name: str
    sessions: list
    rules: tuple = ()
    fails: object = never
    broken: object = lambda _: {}
    limits: dict = field(default_factory=dict)
    details: str = "off"
    desk: str = ""
    blocked_from: float = math.inf
    undecodable_from: float = math.inf
    stream: bool = False
    instance: str = INSTANCE
    counters: dict = field(default_factory=dict)

    def count(self, name, by, **labels):
        key = (name, *labels.items())
        self.counters[key] = self.counters.get(key, 0) + by
        return self.counters[key]


class Exposition:
    """Samples by family, in the order that OpenMetrics demands."""

    def __init__(self):
        self.families = {}

    def add(self, name, kind, labels, at, value):
        series = self.families.setdefault((name, kind), {})
        series.setdefault(tuple({"job": JOB, **labels}.items()), []).append((at, value))

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
        """Yields exposed name, type and labels of every family of the exporter."""
        suffix = {"counter": "_total"}
        for (name, kind), series in self.families.items():
            if name not in ("up", "ALERTS"):
                labels = {label for labels in series for label, _ in labels} - {"job", "instance"}
                yield name + suffix.get(kind, ""), kind, labels - {"le"}


def accounts(begin, end, incident):
    """Returns the seven accounts of baseline and incident."""

    def since(seconds, value, otherwise):
        return (lambda t: value if t > end - seconds else otherwise) if incident else (lambda _: otherwise)

    def flaky(t):
        ago = end - t + HOUR // 2
        if ago // 600 % 7 == 0 and ago % 600 < 120:
            return "timeout"
        return "rate_limited" if ago // 600 % 11 == 0 and ago % 600 < 60 else None

    span = end - begin
    renewed = [Session(begin - HOUR + i * 4 * HOUR, 4 * HOUR + 1800, 2, "203.0.113.9", "bot@example.com") for i in range(3)]
    clients = [
        Session(end - 5 * HOUR + i * 1700, 5 * HOUR + 1800, 3 if i % 3 else 2, f"192.0.2.{i}", f"client{i}@example.com")
        for i in range(8)
    ]
    return [
        Account("bot", renewed, ("client_ip", "min_sessions"), limits={"min": 1}, details="anonymous", desk="fx"),
        Account(
            "desk-1",
            [
                Session(end - 5 * HOUR, 24 * HOUR, 3, "203.0.113.20"),
                Session(end - 4 * HOUR, 2 * HOUR, 4, "203.0.113.21"),
                Session(end - 5400, 8 * HOUR, 2, "198.51.100.22" if incident else "203.0.113.22", "second@example.com"),
            ],
            ("client_ip", "max_sessions"),
            broken=since(2400, {"client_ip": 1}, {}),
            limits={"max": 3},
            details="full",
            desk="fx",
        ),
        Account(
            "desk-2",
            [
                Session(begin - 60, span + (20 * 60 if incident else 5 * HOUR), 3, "198.51.100.7"),
                Session(end - 3 * HOUR, 2 * HOUR, 3, "198.51.100.8"),
            ],
            undecodable_from=end - 1800 if incident else math.inf,
        ),
        Account(
            "broker",
            clients,
            RULES[1:5],
            flaky,
            since(2 * HOUR, {"max_sessions": 2}, {}),
            limits={"max": 6},
            stream=True,
        ),
        Account(
            "night",
            [Session(begin - 60, 5 * HOUR if incident else 20 * HOUR, 4, "203.0.113.77")],
            ("min_sessions",),
            broken=since(HOUR, {"min_sessions": 1}, {}),
            limits={"min": 1},
        ),
        Account(
            "locked & out",
            [Session(begin - 60, 20 * HOUR, 4, "203.0.113.80")],
            fails=since(2 * HOUR, "auth", None),
            blocked_from=end - 2 * HOUR if incident else math.inf,
        ),
        Account("empty", []),
    ]


def fleet(begin, end):
    """Returns 200 accounts on two exporters: one in nine with a problem, one in ten without a session."""
    made = []
    for i in range(200):
        expires = end + (600 if i % 27 == 3 else 2 * HOUR + 300 * i)
        sessions = [] if i % 10 == 9 else [Session(begin - HOUR - 60 * i, expires - begin + HOUR + 60 * i, 2 + i % 3, f"192.0.2.{i}")]
        made.append(
            Account(
                f"account-{i:03}",
                sessions,
                RULES if i < 20 else ("client_ip",),
                fails=(lambda _: "timeout") if i % 27 == 6 else never,
                broken=(lambda _: {"client_ip": 1}) if i % 27 == 12 else (lambda _: {}),
                limits={"min": 1} if i < 20 else {},
                details="full" if i < 4 else "off",
                instance=f"exporter-{i % 2}.example:10460",
            )
        )
    return made


def account_series(out, account, times, chance):
    """Adds the series of one account at all times."""
    answered = seen = None
    for i, now in enumerate(times):
        failure = account.fails(now)
        last, was_open = answered, seen
        if not failure:
            answered = now
            seen = [s for s in account.sessions if s.start <= now < s.end]

        def add(name, kind, value, **labels):
            out.add(name, kind, {"instance": account.instance, "account": account.name, **labels}, now, value)  # noqa: B023

        add("tradernet_account_info", "gauge", 1, transport="http", credential="key_pair", **({"desk": account.desk} if account.desk else {}))
        for bound, limit in account.limits.items():
            add(f"{SESSION}s_limit", "gauge", limit, bound=bound)
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
        for reason in CLOSE_REASONS:
            closed = sum(("expired" if s.end <= now + 2 else "ended") == reason for s in gone)
            add(f"{SESSION}s_closed", "counter", account.count("closed", closed, reason=reason), reason=reason)
        if now - answered <= MAX_AGE:
            session_series(add, account, seen, now, settled=i > 4)


def session_series(add, account, seen, now, settled):
    """Adds what is known of an account's sessions from a recent answer."""
    left = [max(0, s.end - now) for s in seen]
    add(f"{SESSION}s_open", "gauge", len(seen))
    for safety_type, name in SAFETY_TYPES.items():
        count = sum(s.safety_type == safety_type for s in seen)
        add(f"{SESSION}s_by_safety_type", "gauge", count, safety_type_id=safety_type, safety_type=name)
    add(f"{SESSION}_expire_max_milliseconds", "gauge", 1000 * max(left, default=0))
    add(f"{SESSION}_expire_min_milliseconds", "gauge", 1000 * min(left, default=0))
    if "min" in account.limits:
        add(f"{SESSION}s_required", "gauge", len(seen))
    if seen:
        latest = max(s.end for s in seen)
        add(f"{SESSION}_max_expiry_timestamp_seconds", "gauge", latest)
        add(f"{SESSION}_min_expiry_timestamp_seconds", "gauge", min(s.end for s in seen))
        add(f"{SESSION}_max_lifetime_seconds", "gauge", max(s.length for s in seen))
        if "min" in account.limits:
            add(f"{SESSION}_required_max_expiry_timestamp_seconds", "gauge", latest)
    add(f"{SESSION}_client_ips", "gauge", len({s.address for s in seen}))
    add(f"{SESSION}_logins", "gauge", len({s.login for s in seen}))
    add(f"{SESSION}s_expire_unknown", "gauge", 0)
    add("tradernet_sessions_undecodable", "gauge", 1 if now > account.undecodable_from else 0)
    add("tradernet_expire_unit_confirmed", "gauge", 1 if settled else 0)
    add("tradernet_expire_unit", "gauge", 1, unit="milliseconds")
    add("tradernet_expire_unit", "gauge", 0, unit="seconds")
    broken = account.broken(now)
    for rule in account.rules:
        add(f"{SESSION}s_violating", "gauge", broken.get(rule, 0), rule=rule)
    if account.details == "off":
        return
    for s in seen:
        number = str(s.start % 100_000)
        labels = {"session_id": number, "safety_type_id": s.safety_type, "safety_type": SAFETY_TYPES[s.safety_type]}
        if account.details == "full":
            labels |= {"user_login": s.login, "client_ip": s.address}
        add(f"{SESSION}_info", "gauge", 1, **labels)
        add(f"{SESSION}_expiry_timestamp_seconds", "gauge", s.end, session_id=number)
        if broken.get("client_ip") and not s.address.startswith("203.0.113."):
            add(f"{SESSION}_violating", "gauge", 1, session_id=number, rule="client_ip")


def exporter_series(out, instance, times, stops, data):
    """Adds what belongs to no account; the exporter stops at `stops`, and in an incident restarts without a missed scrape."""
    reload_failed_from = times[-1] - 3000 if data == "incident" else math.inf
    share = {"0.05": 0.05, "0.1": 0.4, "0.25": 0.9, "0.5": 0.97, "1": 0.993, "2.5": 0.996, "5": 0.998, "10": 1, "+Inf": 1}
    for i, now in enumerate(times):

        def add(name, kind, value, **labels):
            out.add(name, kind, {"instance": instance, **labels}, now, value)  # noqa: B023

        add("up", "gauge", 0 if now > stops else 1)
        if now > stops:
            continue
        add("tradernet_exporter_build_info", "gauge", 1, version="0.1.0", revision="9b9a707", rustversion="1.95.0")
        add("tradernet_exporter_config_last_reload_successful", "gauge", 0 if now > reload_failed_from else 1)
        for le, part in share.items():
            add("tradernet_api_request_duration_seconds", "histogram", i * 3.5 * part, transport="http", le=le)
        add("process_cpu_seconds", "counter", i * STEP * 0.004 + 0.01 * math.sin(i / 50))
        add("process_resident_memory_bytes", "gauge", 7.5e6 + 2e5 * math.sin(i / 99))
        add("process_open_fds", "gauge", 19 + i % 3)
        add("process_max_fds", "gauge", 1024)
        restarted = data == "incident" and now >= times[-1] - HOUR
        add("process_start_time_seconds", "gauge", times[-1] - HOUR - 7 if restarted else times[0] - 20)


def generate(end, data):
    """Returns the series of `data` up to `end`."""
    end = end // STEP * STEP
    begin = end - (HOUR if data == "fleet" else 6 * HOUR)
    times = range(begin, end + 1, STEP)
    out, chance = Exposition(), random.Random(4)
    stops = {"exporter-1.example:10460": end - HOUR // 2}
    watching = accounts(begin, end, data == "incident")
    if data == "fleet":
        # Both exporters watch the first ten accounts.
        watching = fleet(begin, end)
        watching += [replace(a, instance=f"exporter-{1 - i % 2}.example:10460", counters={}) for i, a in enumerate(watching[:10])]
    for account in watching:
        watched = [t for t in times if t <= stops.get(account.instance, end)]
        account_series(out, account, watched, chance)
    for instance in [f"exporter-{i}.example:10460" for i in range(2)] if data == "fleet" else [INSTANCE]:
        exporter_series(out, instance, times, stops.get(instance, end), data)
    if data == "incident":
        for now in times:
            if now > end - 2400:
                labels = {"alertname": "TradernetSessionAddressNotAllowed", "alertstate": "firing", "account": "desk-1", "severity": "critical"}
                out.add("ALERTS", "gauge", labels, now, 1)
    return out


def main(arguments):
    if len(arguments) != 2 or not arguments[0].isdigit() or arguments[1] not in ("baseline", "incident", "fleet"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    generate(int(arguments[0]), arguments[1]).write(sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
