"""What runs on the lab's platform: services, their workloads, who calls whom, and the nodes they share."""

from __future__ import annotations

from dataclasses import dataclass

NODES = ("node-a", "node-b", "node-c", "node-d")
NODE_CORES = 8
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
MODEL = "demand-forecast"
ALIAS = "champion"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """`cpu_s` is CPU time a request takes, `other_s` time it spends off the CPU, `share` its traffic against web's.

    `calls` are (peer, calls per request). `version` is the running image's tag before anything is deployed.
    """

    name: str
    namespace: str
    replicas: int
    cpu_limit: float
    memory_limit_mib: int
    cpu_s: float
    other_s: float
    share: float
    memory_mib: float
    timeout_s: float = 5.0
    workload: str = ""
    calls: tuple[tuple[str, float], ...] = ()
    depends_on: tuple[str, ...] = ()
    version: str = "2.3.0"
    owner: str = "shop"
    visitors: bool = True  # whether its traffic follows the shop's visitors, or a schedule

    @property
    def deployment(self) -> str:
        return self.workload or self.name

    @property
    def image(self) -> str:
        return f"registry.example/{self.namespace}/{self.deployment}"


# In an order in which every service stands before those that call it.
SERVICES = (
    ServiceSpec("catalog-db", "shop", 2, 2.0, 2048, 0.004, 0.003, 1.6, 1100, owner="storage", version="15.4"),
    ServiceSpec("payments", "shop", 2, 1.0, 512, 0.012, 0.060, 0.25, 260, version="4.1.2", owner="payments"),
    ServiceSpec(
        "checkout",
        "shop",
        3,
        1.0,
        768,
        0.014,
        0.020,
        0.3,
        380,
        version="3.8.1",
        calls=(("payments", 0.8), ("catalog-db", 2.0)),
        depends_on=("payments", "catalog-db"),
    ),
    ServiceSpec("feature-pipeline", "ml", 2, 1.0, 1536, 0.010, 0.012, 0.5, 820, version="1.19.0", owner="data"),
    ServiceSpec(
        "demand-forecast",
        "ml",
        3,
        1.0,
        2048,
        0.034,
        0.030,
        0.36,
        1050,
        timeout_s=1.5,
        workload="forecast-server",
        calls=(("feature-pipeline", 1.0),),
        depends_on=("feature-pipeline",),
        version="1.42.0",
        owner="ml-platform",
    ),
    ServiceSpec(
        "inventory-planner",
        "ml",
        1,
        0.5,
        1024,
        0.110,
        0.200,
        0.02,
        560,
        version="0.31.0",
        owner="supply",
        calls=(("demand-forecast", 3.0),),
        depends_on=("demand-forecast",),
        timeout_s=10.0,
        visitors=False,
    ),
    ServiceSpec("order-worker", "shop", 2, 1.0, 512, 0.030, 0.040, 0.2, 240, version="2.0.7"),
    ServiceSpec(
        "web",
        "shop",
        4,
        1.0,
        768,
        0.007,
        0.015,
        1.0,
        340,
        version="7.12.3",
        calls=(("checkout", 0.3), ("demand-forecast", 0.3)),
        depends_on=("checkout", "demand-forecast"),
        owner="web",
    ),
)
QUEUE, QUEUE_WORKER = "orders", "order-worker"
