"""Evidence of an imagined night, and findings about it that are true. The mutation test twists them."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Assertion, Claim
from tools.spec import Fact

NOW = datetime(2026, 11, 24, 3, 20, tzinfo=UTC)
T = NOW.timestamp()
WINDOW = "2026-11-24T02:20:00Z/2026-11-24T03:20:00Z"
NAMES = frozenset(
    {
        "web",
        "checkout",
        "payments",
        "catalog-db",
        "demand-forecast",
        "forecast-server",
        "feature-pipeline",
        "inventory-planner",
        "order-worker",
        "eu-1",
        "us-1",
        "shop",
        "ml",
        "ann",
        "ml-platform",
    }
)


def _p(quantile: str, service: str) -> str:
    buckets = f'http_request_duration_seconds_bucket{{service="{service}"}}'
    return f"histogram_quantile({quantile}, sum by (le) (rate({buckets}[5m])))"


def _compared(service: str, unit: str, now: float, before: float, yesterday: float) -> tuple[Fact, ...]:
    labels = {"service": service, "cluster": "eu-1"}
    return (
        Fact("now.last", "last", now, unit, labels, WINDOW),
        Fact("now.mean", "mean", now * 0.98, unit, labels, WINDOW),
        Fact("now.max", "max", now * 1.1, unit, labels, WINDOW),
        Fact("before.mean", "mean", before, unit, labels, WINDOW),
        Fact("yesterday.mean", "mean", yesterday, unit, labels, WINDOW),
        Fact("ratio.before", "now over before, by mean", now * 0.98 / before, "ratio", labels, WINDOW),
    )


def _evidence(number: int, read: str, arguments: dict[str, object], *facts: Fact) -> Evidence:
    return Evidence(f"E{number}", read, arguments, "runbook", NOW, NOW, ReadOutcome.OK, "", facts)


_PODS = ("forecast-server-7d9f-abcde", "forecast-server-7d9f-fghij", "forecast-server-7d9f-klmno")
EVIDENCE = {
    one.id: one
    for one in (
        _evidence(
            1,
            "compare_metrics",
            {"promql": _p("0.99", "demand-forecast")},
            *_compared("demand-forecast", "s", 1.84, 0.31, 0.29),
        ),
        _evidence(
            2, "compare_metrics", {"promql": _p("0.99", "checkout")}, *_compared("checkout", "s", 0.21, 0.2, 0.21)
        ),
        _evidence(
            3,
            "query_metrics",
            {"promql": 'sum by (pod) (rate(container_cpu_cfs_throttled_periods_total{service="demand-forecast"}[5m]))'},
            *(
                Fact(f"s{n}.last", "last", value, "ratio", {"service": "demand-forecast", "pod": pod}, WINDOW)
                for n, (pod, value) in enumerate(zip(_PODS, (0.62, 0.58, 0.04), strict=True), 1)
            ),
        ),
        _evidence(
            4,
            "recent_changes",
            {"service": "demand-forecast", "hours": 6},
            Fact("count", "changes", 0, "count", {}, WINDOW),
        ),
        _evidence(
            5,
            "recent_changes",
            {"service": "checkout", "hours": 6},
            Fact("count", "changes", 1, "count", {}, WINDOW),
            Fact("c1.at", "rollout", T - 1500, "unix", {"service": "checkout"}, WINDOW),
            Fact("c1.version", "new version", "2.4.1", "", {"service": "checkout"}, WINDOW),
        ),
        _evidence(
            6,
            "compare_metrics",
            {"promql": 'sum(rate(http_requests_total{service="demand-forecast"}[5m]))'},
            *_compared("demand-forecast", "1/s", 118.0, 116.0, 121.0),
        ),
        _evidence(
            7,
            "compare_metrics",
            {
                "promql": 'sum(rate(http_requests_total{service="payments",code=~"5.."}[5m])) / sum(rate(http_requests_total{service="payments"}[5m]))'
            },
            *_compared("payments", "ratio", 0.081, 0.002, 0.002),
        ),
        _evidence(
            8,
            "query_metrics",
            {"promql": 'max by (pod) (container_memory_working_set_bytes{service="order-worker"})'},
            Fact(
                "value.first",
                "first",
                0.9 * 2**30,
                "bytes",
                {"service": "order-worker", "pod": "order-worker-5c-aaaaa"},
                WINDOW,
            ),
            Fact(
                "value.last",
                "last",
                1.9 * 2**30,
                "bytes",
                {"service": "order-worker", "pod": "order-worker-5c-aaaaa"},
                WINDOW,
            ),
            Fact(
                "value.slope",
                "slope",
                150000.0,
                "bytes/s",
                {"service": "order-worker", "pod": "order-worker-5c-aaaaa"},
                WINDOW,
            ),
            Fact(
                "limit",
                "limit",
                2.0 * 2**30,
                "bytes",
                {"service": "order-worker", "pod": "order-worker-5c-aaaaa"},
                WINDOW,
            ),
        ),
        _evidence(
            9,
            "inspect_drift",
            {"model": "demand-forecast"},
            Fact("drifted.count", "drifted columns", 0, "count", {}, WINDOW),
            Fact("material.count", "columns with material drift", 0, "count", {}, WINDOW),
            Fact("price.score", "psi of price", 0.03, "", {"feature": "price"}, WINDOW),
            Fact("promo.score", "psi of promo", 0.06, "", {"feature": "promo"}, WINDOW),
            Fact("threshold", "threshold", 0.2, "", {}, WINDOW),
        ),
        _evidence(
            10,
            "alert_rule",
            {"alertname": "ForecastLatencyHigh"},
            Fact("value.last", "p99", 1.84, "s", {"service": "demand-forecast"}, WINDOW),
            Fact("limit", "limit (>)", 1.0, "s", {}, WINDOW),
            Fact("began", "start of the breach", T - 1320, "unix", {}, WINDOW),
            Fact("breaching.count", "series in breach", 1, "count", {}, WINDOW),
            Fact("count", "series", 4, "count", {}, WINDOW),
        ),
        _evidence(
            11,
            "alert_history",
            {"alertname": "ForecastLatencyHigh"},
            Fact("count", "times it fired", 6, "count", {}, WINDOW),
            Fact("earlier.count", "times it fired and cleared", 5, "count", {}, WINDOW),
            Fact("median_duration", "median time until it cleared", 540.0, "s", {}, WINDOW),
        ),
        _evidence(
            12,
            "describe_workload",
            {"workload": "eu-1/ml/forecast-server"},
            Fact("replicas.wanted", "replicas wanted", 3, "count", {"workload": "forecast-server", "cluster": "eu-1"}),
            Fact("replicas.ready", "replicas ready", 3, "count", {"workload": "forecast-server", "cluster": "eu-1"}),
            Fact("rollout.complete", "rollout complete", True, "", {"workload": "forecast-server", "cluster": "eu-1"}),
            Fact("limit.cpu", "CPU limit", 1.0, "cores", {"workload": "forecast-server", "cluster": "eu-1"}),
        ),
        _evidence(
            13,
            "served_version",
            {"model": "demand-forecast"},
            Fact("served.version", "served", "41", "", {"model": "demand-forecast"}),
            Fact("alias.version", "alias", "42", "", {"model": "demand-forecast"}),
            Fact("agree", "agree", False, "", {"model": "demand-forecast"}),
        ),
        _evidence(
            14,
            "restarts_and_versions",
            {"service": "payments"},
            Fact("restarts.count", "restarts", 7, "count", {}, WINDOW),
            Fact("version_changes.count", "version changes", 0, "count", {}, WINDOW),
            Fact("restarts.last", "last restart", T - 120, "unix", {}, WINDOW),
        ),
        _evidence(
            15,
            "feature_freshness",
            {"model": "demand-forecast"},
            Fact("stale.count", "stale", 2, "count", {}, WINDOW),
            Fact("price.age", "age of price", 93600.0, "s", {"feature": "price"}),
            Fact("promo.age", "age of promo", 600.0, "s", {"feature": "promo"}),
            Fact("limit", "limit", 21600.0, "s", {}, WINDOW),
        ),
        _evidence(
            16,
            "query_metrics",
            {"promql": 'queue_depth{service="order-worker",queue="orders"}'},
            Fact("value.first", "first", 140.0, "count", {"service": "order-worker", "queue": "orders"}, WINDOW),
            Fact("value.last", "last", 4200.0, "count", {"service": "order-worker", "queue": "orders"}, WINDOW),
        ),
        _evidence(
            17,
            "compare_metrics",
            {"promql": _p("0.50", "web")},
            *_compared("web", "s", 0.024, 0.048, 0.05),
        ),
        _evidence(
            18,
            "active_alerts",
            {},
            Fact("firing.count", "firing", 3, "count", {}, WINDOW),
            Fact("pending.count", "pending", 0, "count", {}, WINDOW),
        ),
        _evidence(
            19,
            "workload_events",
            {"workload": "eu-1/shop/payments"},
            Fact("warnings.count", "warnings", 12, "count", {"workload": "payments"}, WINDOW),
            Fact("reason", "most frequent reason", "BackOff", "", {"workload": "payments"}, WINDOW),
        ),
    )
}


def claim(text: str, *asserts: str) -> Claim:
    """Assertions written as `left op right`."""
    parsed = []
    for one in asserts:
        left, op, right = one.rsplit(" ", 2)
        try:
            parsed.append(Assertion(left, op, float(right)))
        except ValueError:
            parsed.append(Assertion(left, op, right))
    return Claim(text, tuple(parsed))


TRUE = (
    claim("p99 of demand-forecast rose from {E1.before.mean} to {E1.now.mean}.", "E1.now.mean > E1.before.mean"),
    claim(
        "p99 of demand-forecast is {E1.now.last}, above the {E10.limit} of its rule.",
        "E10.value.last > E10.limit",
        "E1.now.last > E10.limit",
    ),
    claim(
        "demand-forecast answers at {E1.now.last} (p99), {E1.ratio.before} times the level before.",
        "E1.ratio.before > 2",
    ),
    claim(
        "Latency of demand-forecast is high: {E1.now.mean} against {E1.yesterday.mean} yesterday.",
        "E1.now.mean > E1.yesterday.mean",
    ),
    claim(
        "p99 of checkout is unchanged at {E2.now.last}.",
        "ratio(E2.now.last,E2.before.mean) < 1.1",
        "ratio(E2.now.last,E2.before.mean) > 0.9",
    ),
    claim(
        "p99 of checkout did not rise: {E2.now.last} against {E2.yesterday.mean}.", "E2.now.last <= E2.yesterday.mean"
    ),
    claim("Pod forecast-server-7d9f-abcde is throttled in {E3.s1.last} of its CPU periods.", "E3.s1.last > 0.25"),
    claim("Throttling of forecast-server-7d9f-fghij stands at {E3.s2.last}, above a quiet level.", "E3.s2.last > 0.25"),
    claim("Pod forecast-server-7d9f-klmno is not throttled ({E3.s3.last}).", "E3.s3.last < 0.25"),
    claim(
        "Throttling is higher on forecast-server-7d9f-abcde than elsewhere: {E3.s1.last} against {E3.s3.last}.",
        "E3.s1.last > E3.s3.last",
    ),
    claim("Nothing was deployed on demand-forecast in {window(E4.count)}.", "E4.count == 0"),
    claim("No change of demand-forecast is known in {window(E4.count)}.", "E4.count == 0"),
    claim("demand-forecast was changed {E4.count} times.", "E4.count == 0"),
    claim("checkout was rolled out at {E5.c1.at} as version {E5.c1.version}."),
    claim("The rollout of checkout came {diff(E10.began,E5.c1.at)} before the breach began.", "E5.c1.at < E10.began"),
    claim("There was {E5.count} change of checkout in {window(E5.count)}.", "E5.count > 0"),
    claim("Traffic of demand-forecast is unchanged at {E6.now.last}.", "ratio(E6.now.last,E6.before.mean) < 1.2"),
    claim(
        "demand-forecast serves {E6.now.mean}, lower than yesterday's {E6.yesterday.mean}.",
        "E6.now.mean < E6.yesterday.mean",
    ),
    claim(
        "Requests to demand-forecast did not surge: {E6.now.max} at most.", "ratio(E6.now.mean,E6.before.mean) < 1.1"
    ),
    claim(
        "payments answers {E7.now.last} of requests with an error, up from {E7.before.mean}.",
        "E7.now.last > E7.before.mean",
    ),
    claim(
        "The share of 5xx answers of payments rose to {E7.now.last} from {E7.before.mean}.",
        "E7.now.last > E7.before.mean",
    ),
    claim("payments fails {E7.ratio.before} times as often as before.", "E7.ratio.before > 10"),
    claim(
        "The error share of payments is above its usual level: {E7.now.mean} against {E7.yesterday.mean}.",
        "E7.now.mean > E7.yesterday.mean",
    ),
    claim("Memory of order-worker grew from {E8.value.first} to {E8.value.last}.", "E8.value.last > E8.value.first"),
    claim("Memory of order-worker-5c-aaaaa doubled to {E8.value.last}.", "ratio(E8.value.last,E8.value.first) > 1.9"),
    claim(
        "order-worker uses {pct(ratio(E8.value.last,E8.limit))} of its memory limit of {E8.limit}.",
        "E8.value.last < E8.limit",
    ),
    claim("Memory of order-worker rises by {E8.value.slope}.", "E8.value.slope > 0"),
    claim("order-worker is {diff(E8.limit,E8.value.last)} below its memory limit.", "E8.value.last < E8.limit"),
    claim("No feature of demand-forecast drifted.", "E9.drifted.count == 0"),
    claim(
        "Drift of price stands at {E9.price.score}, below the threshold of {E9.threshold}.",
        "E9.price.score < E9.threshold",
    ),
    claim("The drift of promo ({E9.promo.score}) is below the threshold.", "E9.promo.score < E9.threshold"),
    claim(
        "The features of demand-forecast did not drift materially: {E9.material.count} of them.",
        "E9.material.count == 0",
    ),
    claim("Drift is higher for promo than for price.", "E9.promo.score > E9.price.score"),
    claim("The breach began at {E10.began}."),
    claim(
        "The rule ForecastLatencyHigh allows {E10.limit}; demand-forecast stands at {E10.value.last}.",
        "E10.value.last > E10.limit",
    ),
    claim("{E10.breaching.count} of {E10.count} series breach the rule.", "E10.breaching.count < E10.count"),
    claim("p99 exceeds the limit by {diff(E10.value.last,E10.limit)}.", "E10.value.last > E10.limit"),
    claim("ForecastLatencyHigh fired {E11.count} times in {window(E11.count)}.", "E11.count > 1"),
    claim("ForecastLatencyHigh cleared by itself after {E11.median_duration} as a rule."),
    claim("{E11.earlier.count} earlier episodes of ForecastLatencyHigh cleared.", "E11.earlier.count > 0"),
    claim(
        "forecast-server runs {E12.replicas.ready} of {E12.replicas.wanted} replicas.",
        "E12.replicas.ready == E12.replicas.wanted",
    ),
    claim(
        "No replica of forecast-server is missing.",
        "diff(E12.replicas.wanted,E12.replicas.ready) == 0",
        "E12.replicas.ready >= E12.replicas.wanted",
        "E12.rollout.complete != false",
    ),
    claim("Each replica of forecast-server may use {E12.limit.cpu}."),
    claim(
        "The rollout of forecast-server in eu-1 is through ({E12.rollout.complete}).", "E12.rollout.complete == true"
    ),
    claim(
        "Serving runs version {E13.served.version} of demand-forecast, the alias points at {E13.alias.version}.",
        "E13.agree == false",
    ),
    claim("What serves demand-forecast does not follow the alias.", "E13.agree == false"),
    claim("Serving of demand-forecast and its alias are not the same.", "E13.served.version != E13.alias.version"),
    claim(
        "payments restarted {E14.restarts.count} times, the last time at {E14.restarts.last}.", "E14.restarts.count > 3"
    ),
    claim("No version of payments changed in {window(E14.version_changes.count)}.", "E14.version_changes.count == 0"),
    claim(
        "payments restarts again and again ({E14.restarts.count}) without a new version.",
        "E14.restarts.count > 3",
        "E14.version_changes.count == 0",
        "E14.restarts.count > E14.version_changes.count",
    ),
    claim("Feature price is {E15.price.age} old, above the limit of {E15.limit}.", "E15.price.age > E15.limit"),
    claim("Feature promo is {E15.promo.age} old, below the limit of {E15.limit}.", "E15.promo.age < E15.limit"),
    claim("{E15.stale.count} features of demand-forecast are stale.", "E15.stale.count > 0"),
    claim("price is older than promo: {E15.price.age} against {E15.promo.age}.", "E15.price.age > E15.promo.age"),
    claim(
        "The queue orders grew from {E16.value.first} to {E16.value.last} messages.", "E16.value.last > E16.value.first"
    ),
    claim(
        "order-worker falls behind: {E16.value.last} wait in orders, {ratio(E16.value.last,E16.value.first)} times as many as at first.",
        "ratio(E16.value.last,E16.value.first) > 10",
        "E16.value.last < 100000",
        "diff(E16.value.first,E16.value.last) < 0",
    ),
    claim("Median latency of web fell from {E17.before.mean} to {E17.now.mean}.", "E17.now.mean < E17.before.mean"),
    claim("p50 of web halved to {E17.now.last}.", "ratio(E17.now.last,E17.before.mean) < 0.6"),
    claim(
        "web is faster than yesterday: {E17.now.mean} against {E17.yesterday.mean}.",
        "E17.now.mean < E17.yesterday.mean",
    ),
    claim(
        "{E18.firing.count} alerts fire and none is pending.",
        "E18.firing.count > 0",
        "E18.pending.count == 0",
        "E18.firing.count > E18.pending.count",
    ),
    claim("payments has {E19.warnings.count} warnings, most of them {E19.reason}.", "E19.warnings.count > 5"),
    claim("Warnings of payments name {E19.reason}.", "E19.reason == BackOff"),
    claim(
        "p99 of demand-forecast rose from {E1.before.mean} to {E1.now.mean} while checkout is unchanged at {E2.now.last}.",
        "E1.now.mean > E1.before.mean",
        "ratio(E2.now.last,E2.before.mean) < 1.1",
    ),
    claim(
        "Errors of payments rose to {E7.now.last} although traffic of demand-forecast is steady at {E6.now.last}.",
        "E7.now.last > E7.before.mean",
        "ratio(E6.now.last,E6.before.mean) < 1.1",
    ),
    claim("p99 of demand-forecast rose by {diff(E1.now.mean,E1.before.mean)}.", "E1.now.mean > E1.before.mean"),
    claim("demand-forecast slowed {diff(E10.began,E5.c1.at)} after the rollout of checkout.", "E10.began > E5.c1.at"),
    claim("In eu-1 p99 of demand-forecast tops out at {E1.now.max}."),
    claim("p99 of demand-forecast is {pct(E1.ratio.before)} of the level before.", "E1.ratio.before > 1"),
)
