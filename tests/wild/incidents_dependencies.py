"""What a workload needs is not there, not let in, or not found: databases, credentials, Services, policies, DNS."""

from __future__ import annotations

from typing import Any

from tests.wild.build import (
    Document,
    World,
    cluster,
    container,
    crash,
    ended,
    http_probe,
    many,
    named,
    pending,
    secret_key,
    unready,
    up,
)

READY = {"readinessProbe": http_probe("/actuator/health/readiness", 8080, initialDelaySeconds=10)}
SPRING = [
    "  .   ____          _            __ _ _",
    " :: Spring Boot ::                (v3.3.5)",
    "2026-11-24T11:20:02.410Z  INFO 1 --- [main] o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat initialized with port 8080 (http)",
    "2026-11-24T11:20:03.077Z  INFO 1 --- [main] o.hibernate.jpa.internal.util.LogHelper  : HHH000204: Processing PersistenceUnitInfo [name: default]",
]


def policy(w: World, namespace: str, name: str, age: str, **spec: Any) -> Document:
    return w.add("NetworkPolicy", name, namespace, age=age, generation=1, spec={"podSelector": {}, **spec})


def postgres_password_was_rotated() -> Document:
    w = cluster(
        "eks",
        "A secret manager rotated the database password; the Secret was written anew, the database did not take the new password, and the pods fail from their next restart on. https://github.com/world-federation-of-advertisers/cross-media-measurement/issues/1648",
    )
    env = {
        "SPRING_DATASOURCE_URL": "jdbc:postgresql://orders-pg:5432/orders",
        "SPRING_DATASOURCE_PASSWORD": secret_key("orders-pg-app", "password"),
    }
    d = w.deployment(
        "orders",
        "orders-api",
        "112233445566.dkr.ecr.eu-west-1.amazonaws.com/orders-api:5.14.1",
        [crash(1, 10, lived="18s"), crash(1, 9, lived="19s"), crash(1, 10, lived="18s")],
        env=env,
        with_=READY,
        rolled="16d",
    )
    w.secret("orders", "orders-pg-app", ["username", "password"], changed="52m", by="external-secrets")
    pg = w.statefulset("orders", "orders-pg", "postgres:16.4", [up()], claim="data", port=5432)
    w.herring("rollout", "orders")
    w.healthy("orders", "acme/basket:2.2.2", "acme/fulfilment:7.1.0")
    error = [
        "2026-11-24T11:55:41.207Z ERROR 1 --- [main] com.zaxxer.hikari.pool.HikariPool        : HikariPool-1 - Exception during pool initialization.",
        "",
        'org.postgresql.util.PSQLException: FATAL: password authentication failed for user "orders_app"',
        "\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:693)",
        "\tat org.postgresql.core.v3.ConnectionFactoryImpl.tryConnect(ConnectionFactoryImpl.java:203)",
        "\tat com.zaxxer.hikari.util.DriverDataSource.getConnection(DriverDataSource.java:137)",
    ]
    for pod in d["pods"]:
        w.log(pod, [*SPRING, *error], [*SPRING, *error])
        w.backoff(pod, 130, first="45m")
    w.log(
        pg["pods"][0],
        [
            many(25, "2026-11-24 11:5{n} UTC [27] LOG:  checkpoint complete: wrote 112 buffers (0.7%)"),
            many(40, '2026-11-24 11:57:{n} UTC [411] FATAL:  password authentication failed for user "orders_app"'),
        ],
    )
    w.kube("KubeDeploymentReplicasMismatch", namespace="orders", deployment="orders-api", began="30m")
    w.truth(
        "bad_config",
        ("Deployment", "orders", "orders-api"),
        "password authentication failed for user",
        ("bad_config", ("Secret", "orders", "orders-pg-app")),
        ("bad_config", ("StatefulSet", "orders", "orders-pg")),
        mechanism="credentials",
        elsewhere=True,
    )
    return w.incident()


def rabbit_refuses_the_worker() -> Document:
    w = cluster(
        "openshift",
        "The broker's users were imported anew without the worker's. Connections are refused with ACCESS_REFUSED. https://www.rabbitmq.com/docs/access-control",
    )
    env = {"AMQP_URL": secret_key("mail-worker-amqp", "url"), "PREFETCH": "20"}
    d = w.deployment(
        "notifications",
        "mail-worker",
        "quay.corp.example.net/notify/mail-worker:1.30.4",
        [crash(1, 13, lived="3s"), crash(1, 13, lived="3s")],
        env=env,
        service=False,
        rolled="33d",
    )
    w.secret("notifications", "mail-worker-amqp", ["url"], age="300d")
    rabbit = w.statefulset(
        "messaging",
        "rabbitmq",
        "rabbitmq:3.13.7-management",
        [up(1, last="70m", code=0), up(1, last="72m", code=0), up(1, last="74m", code=0)],
        claim="data",
        port=5672,
    )
    w.herring("warning", "notifications")
    w.healthy("notifications", "quay.corp.example.net/notify/templates:3.0.0", "quay.corp.example.net/notify/sms:2.8.1")
    lines = [
        many(4, "2026-11-24 11:56:3{n},101 INFO mail_worker.app starting consumer thread {n}"),
        "2026-11-24 11:56:36,410 ERROR pika.adapters.utils.connection_workflow AMQPConnector - reporting failure: AMQPConnectorAMQPHandshakeError: ProbableAuthenticationError: Client was disconnected at a connection stage indicating a probable authentication error",
        "pika.exceptions.ProbableAuthenticationError: ConnectionClosedByBroker: (403) 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'",
    ]
    for pod in d["pods"]:
        w.log(pod, lines, lines)
        w.backoff(pod, 250, first="65m")
    w.log(
        rabbit["pods"][0],
        [
            many(
                30,
                "2026-11-24 11:5{n}:02.001 [info] <0.31.0> closing AMQP connection <0.{n}.0> (10.244.2.9:51000 -> 10.244.1.8:5672, vhost: '/', user: 'sms')",
            ),
            many(
                20,
                "2026-11-24 11:56:{n}.410 [error] <0.9{n}.0> PLAIN login refused: user 'mail-worker' - invalid credentials",
            ),
        ],
    )
    w.kube(
        "KubePodCrashLooping", namespace="notifications", pod=named(d["pods"][0]), container="mail-worker", began="50m"
    )
    w.truth(
        "bad_config",
        ("Deployment", "notifications", "mail-worker"),
        "ACCESS_REFUSED",
        ("bad_config", ("StatefulSet", "messaging", "rabbitmq")),
        ("bad_config", ("Secret", "notifications", "mail-worker-amqp")),
        mechanism="credentials",
        elsewhere=True,
    )
    return w.incident()


def cache_has_no_place() -> Document:
    w = cluster(
        "gke",
        "The cache's request was raised above what any node has; after a drain it is not scheduled again, and the application loses its readiness. https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
        cluster="prod-us",
    )
    said = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    w.statefulset(
        "sessions",
        "session-redis",
        "redis:7.2.5",
        [pending(said, age="38m")],
        port=6379,
        with_={"resources": {"requests": {"cpu": "500m", "memory": "24Gi"}, "limits": {"memory": "24Gi"}}},
    )
    w.event(
        w.find("Pod", "session-redis-0"), "FailedScheduling", said, count=9, first="38m", source="default-scheduler"
    )
    w.event(
        w.find("Pod", "session-redis-0"),
        "NotTriggerScaleUp",
        "pod didn't trigger scale-up: 1 max node group size reached, 2 Insufficient memory",
        kind="Normal",
        count=200,
        first="38m",
        source="cluster-autoscaler",
    )
    d = w.deployment(
        "sessions",
        "login",
        "europe-docker.pkg.dev/acme/id/login:88",
        [unready(), unready(), unready()],
        env={"REDIS_ADDR": "session-redis:6379"},
        with_=READY,
    )
    w.healthy("sessions", "europe-docker.pkg.dev/acme/id/consent:41", "europe-docker.pkg.dev/acme/id/audit:12")
    for pod in d["pods"]:
        w.log(
            pod,
            [
                many(25, '{"severity":"INFO","message":"GET /health 200","ts":"2026-11-24T11:2{n}:01Z"}'),
                many(
                    40,
                    '{"severity":"ERROR","message":"session store: dial tcp: lookup session-redis on 172.20.0.10:53: no such host","ts":"2026-11-24T11:5{n}:12Z"}',
                ),
            ],
        )
        w.unhealthy(pod, "Readiness probe failed: HTTP probe failed with statuscode: 503", 210, first="36m")
    w.alert(
        "LoginErrorBudgetBurn",
        {"app": "login", "slo": "availability"},
        "login burns its error budget 14 times too fast",
        "99% of requests to login fail",
        severity="page",
        began="30m",
    )
    w.truth(
        "scheduling",
        ("StatefulSet", "sessions", "session-redis"),
        "Insufficient memory",
        ("dependency_down", ("StatefulSet", "sessions", "session-redis")),
        ("scheduling", ("Pod", "sessions", "session-redis-0")),
        mechanism="dependency",
        elsewhere=True,
    )
    return w.incident()


def database_ran_out_of_disk() -> Document:
    w = cluster(
        "bare",
        "PostgreSQL's volume is full of write-ahead log; it shuts down, and all that depends on it fails. https://www.postgresql.org/docs/current/disk-full.html",
    )
    pg = w.statefulset(
        "clinic",
        "patient-db",
        "postgres:15.8",
        [crash(1, 12, lived="2s", age="60d")],
        claim="pgdata",
        size="50Gi",
        storage="rook-ceph-block",
        port=5432,
    )
    lines = [
        "2026-11-24 11:56:02.118 UTC [1] LOG:  starting PostgreSQL 15.8 (Debian 15.8-1.pgdg120+1) on x86_64-pc-linux-gnu",
        "2026-11-24 11:56:02.121 UTC [29] LOG:  database system was interrupted; last known up at 2026-11-24 11:09:51 UTC",
        "2026-11-24 11:56:02.400 UTC [29] LOG:  redo starts at 4C/8A000028",
        '2026-11-24 11:56:03.012 UTC [29] FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left on device',
        "2026-11-24 11:56:03.020 UTC [1] LOG:  startup process (PID 29) exited with exit code 1",
        "2026-11-24 11:56:03.020 UTC [1] LOG:  database system is shut down",
    ]
    w.log(pg["pods"][0], lines, lines)
    w.backoff(pg["pods"][0], 220, first="50m")
    d = w.deployment(
        "clinic",
        "appointments",
        "registry.corp.example.net/clinic/appointments:22.4.0",
        [unready(), unready()],
        env={"DATABASE_URL": "postgres://patient-db:5432/clinic"},
        with_=READY,
    )
    for pod in d["pods"]:
        w.log(
            pod,
            [
                many(20, "[GIN] 2026/11/24 - 11:0{n}:01 | 200 | 3.1ms | 10.244.0.1 | GET /api/slots"),
                many(
                    40,
                    "2026/11/24 11:56:{n} ERROR pool: failed to connect to `host=patient-db user=app database=clinic`: dial error (dial tcp 10.244.3.71:5432: connect: connection refused)",
                ),
            ],
        )
    w.healthy("clinic", "registry.corp.example.net/clinic/web:22.4.1", "registry.corp.example.net/clinic/labels:3.3.3")
    w.scaled("web", "up", "to 2", first="58m")
    w.kube("KubePodNotReady", namespace="clinic", pod=named(d["pods"][0]), began="28m")
    w.truth(
        "disk_full",
        ("StatefulSet", "clinic", "patient-db"),
        "No space left on device",
        ("disk_full", ("PersistentVolumeClaim", "clinic", "pgdata-patient-db-0")),
        ("disk_full", ("Pod", "clinic", "patient-db-0")),
        mechanism="dependency",
        elsewhere=True,
        herring="a rollout of web an hour ago",
    )
    return w.incident()


def selector_fits_nothing() -> Document:
    w = cluster(
        "k3s",
        "A chart's labels were renamed to the recommended ones; the Service kept its old selector and has no endpoints while all pods are ready. https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/",
    )
    w.deployment(
        "shop",
        "checkout",
        "ghcr.io/lumen/checkout:6.0.0",
        [up(age="34m"), up(age="34m"), up(age="34m")],
        key="app.kubernetes.io/name",
        service=False,
        rolled="34m",
        revision=18,
        old=[{"image": "ghcr.io/lumen/checkout:5.9.2", "age": "11d"}],
    )
    w.service("shop", "checkout", {"app": "checkout"}, 8080, age="400d")
    gateway = w.deployment(
        "ingress-nginx",
        "ingress-nginx-controller",
        "registry.k8s.io/ingress-nginx/controller:v1.11.3",
        [up(), up()],
        port=80,
    )
    w.add(
        "Ingress",
        "shop",
        "shop",
        spec={
            "ingressClassName": "nginx",
            "rules": [
                {
                    "host": "shop.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/checkout",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "checkout", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
        status={"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}},
    )
    w.herring("restarts", "shop")
    w.healthy("shop", "ghcr.io/lumen/cart:2.0.4", "ghcr.io/lumen/catalog:9.1.1")
    w.log(
        gateway["pods"][0],
        [
            many(
                30,
                '10.42.0.1 - - [24/Nov/2026:11:5{n}:10 +0000] "GET /checkout HTTP/2.0" 503 190 "-" "Mozilla/5.0" 41 0.000 [shop-checkout-80] [] - - - - 7f1e{n}',
            ),
            'W1124 11:27:02.118001       7 controller.go:1216] Service "shop/checkout" does not have any active Endpoint.',
        ],
    )
    w.alert(
        "ProbeFailed",
        {"job": "blackbox", "instance": "https://shop.example.com/checkout", "service": "checkout"},
        "https://shop.example.com/checkout answers 503",
        began="31m",
    )
    w.truth(
        "bad_config",
        ("Service", "shop", "checkout"),
        "does not have any active Endpoint",
        ("bad_deploy", ("Deployment", "shop", "checkout")),
        ("bad_config", ("Deployment", "shop", "checkout")),
        ("network", ("Service", "shop", "checkout")),
        ("bad_deploy", ("Service", "shop", "checkout")),
        mechanism="service",
        elsewhere=True,
    )
    return w.incident()


def service_points_to_a_port_nobody_opens() -> Document:
    w = cluster(
        "aks",
        "The container moved from port 8080 to 9090, the Service's targetPort did not follow: connections are refused though all pods are ready. https://kubernetes.io/docs/concepts/services-networking/service/",
    )
    d = w.deployment(
        "pricing",
        "quote-engine",
        "contoso.azurecr.io/pricing/quote-engine:12.0.0",
        [up(age="50m"), up(age="50m")],
        port=9090,
        service=False,
        rolled="50m",
        revision=40,
        old=[{"image": "contoso.azurecr.io/pricing/quote-engine:11.8.0", "port": 8080, "age": "15d"}],
    )
    w.service("pricing", "quote-engine", {"app": "quote-engine"}, 8080, target=8080)
    caller = w.deployment(
        "pricing",
        "quotes-web",
        "contoso.azurecr.io/pricing/quotes-web:3.7.0",
        [up(), up()],
        env={"QUOTE_ENGINE": "http://quote-engine"},
    )
    w.herring("neighbour", "pricing")
    w.healthy("pricing", "contoso.azurecr.io/pricing/fx-rates:1.1.9", "contoso.azurecr.io/pricing/history:2.5.0")
    w.log(
        d["pods"][0],
        [
            "info: Microsoft.Hosting.Lifetime[14]",
            "      Now listening on: http://[::]:9090",
            "info: Microsoft.Hosting.Lifetime[0]",
            "      Application started. Press Ctrl+C to shut down.",
        ],
    )
    w.log(
        caller["pods"][0],
        [
            many(
                60,
                "fail: Quotes.Client[7] call {n} failed: System.Net.Http.HttpRequestException: Connection refused (quote-engine:80)",
            )
        ],
    )
    w.alert(
        "HighErrorRate",
        {"namespace": "pricing", "app": "quotes-web"},
        "quotes-web: 100% of requests fail with 502",
        began="40m",
    )
    w.truth(
        "bad_config",
        ("Service", "pricing", "quote-engine"),
        "Connection refused (quote-engine:80)",
        ("bad_deploy", ("Deployment", "pricing", "quote-engine")),
        ("bad_config", ("Deployment", "pricing", "quote-engine")),
        ("network", ("Service", "pricing", "quote-engine")),
        mechanism="service",
        elsewhere=True,
    )
    return w.incident()


def default_deny_cuts_off_the_database() -> Document:
    w = cluster(
        "gke",
        "A platform team rolled out default-deny egress; one namespace's database lies elsewhere. Connections time out instead of being refused. https://kubernetes.io/docs/concepts/services-networking/network-policies/",
    )
    d = w.deployment(
        "claims",
        "claims-api",
        "europe-docker.pkg.dev/acme/ins/claims-api:2.40.0",
        [unready(), unready(), unready()],
        env={"MONGO_URI": "mongodb://mongo.databases:27017/claims"},
        with_=READY,
        rolled="23d",
    )
    w.statefulset("databases", "mongo", "mongo:7.0.14", [up(), up(), up()], claim="data", port=27017)
    policy(
        w,
        "claims",
        "default-deny-egress",
        "55m",
        policyTypes=["Egress"],
        egress=[
            {
                "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
                "ports": [{"protocol": "UDP", "port": 53}],
            }
        ],
    )
    w.add(
        "Namespace", "claims", age="400d", labels={"kubernetes.io/metadata.name": "claims"}, status={"phase": "Active"}
    )
    w.herring("rollout", "claims")
    w.healthy("claims", "europe-docker.pkg.dev/acme/ins/forms:1.8.0", "europe-docker.pkg.dev/acme/ins/scan:0.9.4")
    for pod in d["pods"]:
        w.log(
            pod,
            [
                many(15, "2026-11-24T11:0{n}:00Z INFO  claims listed 20 claims in 12ms"),
                many(
                    20,
                    "2026-11-24T11:4{n}:31Z ERROR claims MongoServerSelectionError: connect ETIMEDOUT 10.244.2.31:27017, waited 30000 ms",
                ),
            ],
        )
        w.unhealthy(
            pod,
            'Readiness probe failed: Get "http://10.244.1.4:8080/actuator/health/readiness": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            280,
            first="50m",
        )
    w.kube("KubeDeploymentReplicasMismatch", namespace="claims", deployment="claims-api", began="34m")
    w.truth(
        "network",
        ("NetworkPolicy", "claims", "default-deny-egress"),
        "default-deny-egress",
        ("network", ("Deployment", "claims", "claims-api")),
        ("bad_config", ("NetworkPolicy", "claims", "default-deny-egress")),
        mechanism="network policy",
        elsewhere=True,
    )
    return w.incident()


def policy_lets_only_the_old_caller_in() -> Document:
    w = cluster(
        "eks",
        "A NetworkPolicy admits callers by a pod label that the caller's new chart no longer sets. https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors",
    )
    w.deployment("inventory", "stock", "acme/stock:4.4.4", [up(), up()], rolled="70d")
    policy(
        w,
        "inventory",
        "stock-ingress",
        "300d",
        podSelector={"matchLabels": {"app": "stock"}},
        policyTypes=["Ingress"],
        ingress=[
            {
                "from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "storefront"}}}],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }
        ],
    )
    d = w.deployment(
        "web",
        "storefront",
        "acme/storefront:30.0.0",
        [up(age="42m"), up(age="42m"), up(age="42m")],
        env={"STOCK_URL": "http://stock.inventory"},
        labels={"tier": "frontend"},
        rolled="42m",
        revision=30,
        old=[{"image": "acme/storefront:29.6.1", "age": "10d"}],
    )
    w.healthy("web", "acme/cms:2.1.0", "acme/reviews:1.6.2")
    w.log(
        d["pods"][0],
        [
            many(10, '{"lvl":"info","msg":"GET / 200 14ms","n":{n}}'),
            many(
                50,
                '{"lvl":"error","msg":"GET http://stock.inventory/v1/levels: upstream request timeout after 5000ms","n":{n}}',
            ),
        ],
    )
    w.alert(
        "StorefrontDegraded",
        {"service": "storefront", "env": "prod"},
        "storefront: 40% of pages are shown without stock levels",
        began="37m",
        severity="warning",
    )
    w.truth(
        "network",
        ("NetworkPolicy", "inventory", "stock-ingress"),
        "stock-ingress",
        ("network", ("Deployment", "web", "storefront")),
        ("bad_deploy", ("Deployment", "web", "storefront")),
        ("bad_config", ("Deployment", "web", "storefront")),
        ("bad_config", ("NetworkPolicy", "inventory", "stock-ingress")),
        mechanism="network policy",
        elsewhere=True,
    )
    return w.incident()


def coredns_is_killed_for_memory() -> Document:
    w = cluster(
        "eks",
        "CoreDNS is killed for memory in a storm of queries and never recovers; every lookup in the cluster fails. https://postmortems.info/t/online-fashion-store-downed-by-oomkiller/510",
        coredns=False,
    )
    dns = w.coredns(crash(137, 16, "OOMKilled", lived="20s", last="1m"), crash(137, 17, "OOMKilled", lived="22s"))
    w.service("kube-system", "kube-dns", {"k8s-app": "coredns"}, 53)
    d = w.deployment(
        "fashion",
        "aggregation-layer",
        "registry.acme.example/fashion/aggregation:1411",
        [unready(), unready(), up()],
        with_=READY,
    )
    w.herring("rollout", "fashion")
    w.healthy("fashion", "registry.acme.example/fashion/teaser:88", "registry.acme.example/fashion/wishlist:12")
    for pod in dns["pods"]:
        w.backoff(pod, 90, first="35m")
        w.log(
            pod,
            [
                ".:53",
                "[INFO] plugin/reload: Running configuration SHA512 = 591cf328cccc12bc490481273e738df59329c62c0b729d94e8b61db9961c2fa5f046dd37f1cf888b953814040d180f52594972691cd6ff41be96639138a43908",
                "CoreDNS-1.11.3",
                many(
                    20,
                    "[ERROR] plugin/errors: 2 api.partner.example. A: read udp 10.244.1.3:4{n}->10.0.0.2:53: i/o timeout",
                ),
            ],
        )
        w.unhealthy(
            pod,
            'Readiness probe failed: Get "http://10.244.1.3:8181/ready": dial tcp 10.244.1.3:8181: connect: connection refused',
            80,
            first="35m",
        )
    for pod in d["pods"]:
        w.log(
            pod,
            [
                many(
                    60,
                    'level=error ts=2026-11-24T11:5{n}:00Z msg="circuit open" err="dial tcp: lookup teaser.fashion.svc.cluster.local on 172.20.0.10:53: read udp 10.244.2.8:38000->172.20.0.10:53: i/o timeout"',
                )
            ],
        )
    w.alert(
        "AggregationLayer5xx",
        {"application": "aggregation-layer", "team": "fashion"},
        "aggregation-layer answers 5xx to 92% of requests",
        severity="page",
        began="29m",
    )
    w.truth(
        "dependency_down",
        ("Deployment", "kube-system", "coredns"),
        "OOMKilled",
        ("network", ("Deployment", "kube-system", "coredns")),
        ("memory_leak", ("Deployment", "kube-system", "coredns")),
        ("bad_config", ("Deployment", "kube-system", "coredns")),
        ("traffic_surge", ("Deployment", "kube-system", "coredns")),
        mechanism="dns",
        elsewhere=True,
    )
    return w.incident()


def corefile_has_a_slip() -> Document:
    w = cluster(
        "bare",
        "A stub domain was added to the Corefile and a directive mistyped; CoreDNS does not start any more after its next restart. https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/",
        coredns=False,
    )
    w.config(
        "kube-system",
        "coredns",
        {
            "Corefile": ".:53 {\n  errors\n  health\n  ready\n  kubernetes cluster.local in-addr.arpa ip6.arpa\n  forwrad . /etc/resolv.conf\n  cache 30\n}\n"
        },
        age="600d",
        changed="65m",
        by="kubectl-edit",
    )
    dns = w.coredns(crash(1, 15, lived="1s"), crash(1, 15, lived="1s"))
    lines = ["/etc/coredns/Corefile:6 - Error during parsing: Unknown directive 'forwrad'"]
    for pod in dns["pods"]:
        w.log(pod, lines, lines)
        w.backoff(pod, 260, first="60m")
    d = w.deployment(
        "helpdesk",
        "ticket-sync",
        "registry.corp.example.net/helpdesk/ticket-sync:0.44.0",
        [crash(1, 12, lived="6s")],
        service=False,
    )
    lines = [
        "Traceback (most recent call last):",
        '  File "/srv/sync/__main__.py", line 40, in main',
        "    conn = psycopg.connect(settings.dsn)",
        "psycopg.OperationalError: failed to resolve host 'tickets-db.helpdesk.svc': [Errno -3] Temporary failure in name resolution",
    ]
    w.log(d["pods"][0], lines, lines)
    w.backoff(d["pods"][0], 200, first="55m")
    w.statefulset("helpdesk", "tickets-db", "postgres:14.13", [up()], claim="data", port=5432)
    w.herring("neighbour", "helpdesk")
    w.healthy(
        "helpdesk", "registry.corp.example.net/helpdesk/ui:9.9.0", "registry.corp.example.net/helpdesk/mail-in:3.0.1"
    )
    w.kube("KubePodCrashLooping", namespace="helpdesk", pod=named(d["pods"][0]), container="ticket-sync", began="38m")
    w.truth(
        "bad_config",
        ("Deployment", "kube-system", "coredns"),
        "Unknown directive 'forwrad'",
        ("bad_config", ("ConfigMap", "kube-system", "coredns")),
        ("dependency_down", ("Deployment", "kube-system", "coredns")),
        ("network", ("Deployment", "kube-system", "coredns")),
        mechanism="dns",
        elsewhere=True,
    )
    return w.incident()


def webhook_without_endpoints() -> Document:
    w = cluster(
        "eks",
        "A policy engine's webhook fails closed; its own pods are gone after a scale-down, so no pod of any namespace can be created. https://github.com/gopaddle-io/configurator/issues/74",
    )
    said = 'Internal error occurred: failed calling webhook "mutate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno-svc.kyverno.svc:443/mutate/fail?timeout=10s": no endpoints available for service "kyverno-svc"'
    w.deployment(
        "kyverno",
        "kyverno-admission-controller",
        "ghcr.io/kyverno/kyverno:v1.12.6",
        [],
        replicas=0,
        key="app.kubernetes.io/component",
        service=False,
        rolled="70m",
        age="100d",
    )
    w.service("kyverno", "kyverno-svc", {"app.kubernetes.io/component": "kyverno-admission-controller"}, 9443)
    w.add(
        "MutatingWebhookConfiguration",
        "kyverno-resource-mutating-webhook-cfg",
        webhooks=[
            {
                "name": "mutate.kyverno.svc-fail",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "service": {"name": "kyverno-svc", "namespace": "kyverno", "path": "/mutate/fail", "port": 443}
                },
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["pods"],
                    }
                ],
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 10,
            }
        ],
    )
    d = w.deployment(
        "booking",
        "seat-map",
        "acme/seat-map:3.8.0",
        [up(), up()],
        replicas=5,
        rolled="8d",
        failure=f"Error creating: {said}",
    )
    w.event(
        d["replicaset"],
        "FailedCreate",
        f"Error creating: {said}",
        count=22,
        first="50m",
        source="replicaset-controller",
    )
    w.healthy("booking", "acme/fares:10.2.0", "acme/loyalty:1.4.4")
    w.kube("KubeDeploymentReplicasMismatch", namespace="booking", deployment="seat-map", began="33m")
    w.truth(
        "dependency_down",
        ("Deployment", "kyverno", "kyverno-admission-controller"),
        'no endpoints available for service "kyverno-svc"',
        ("dependency_down", ("Service", "kyverno", "kyverno-svc")),
        ("bad_config", ("Deployment", "kyverno", "kyverno-admission-controller")),
        ("dependency_down", ("MutatingWebhookConfiguration", "", "kyverno-resource-mutating-webhook-cfg")),
        ("bad_config", ("MutatingWebhookConfiguration", "", "kyverno-resource-mutating-webhook-cfg")),
        mechanism="admission",
        elsewhere=True,
    )
    return w.incident()


def certificate_of_a_webhook_expired() -> Document:
    w = cluster(
        "k3s",
        "The serving certificate of an operator's webhook ran out; every create that it has to admit fails. https://github.com/oracle/oracle-database-operator/issues/36",
    )
    said = 'Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T11:55:12Z is after 2026-11-24T10:50:03Z'
    istiod = w.deployment(
        "istio-system", "istiod", "docker.io/istio/pilot:1.23.3", [up(), up()], port=15017, rolled="88d"
    )
    w.log(
        istiod["pods"][0],
        [
            many(20, "2026-11-24T11:4{n}:01.101Z\tinfo\tads\tPush debounce stable[{n}] 1 for config ServiceEntry"),
            many(
                30,
                "2026-11-24T11:55:{n}.013Z\tinfo\thttp: TLS handshake error from 10.244.0.1:5123{n}: remote error: tls: bad certificate",
            ),
        ],
    )
    client = {"service": {"name": "istiod", "namespace": "istio-system", "path": "/inject", "port": 443}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    w.add(
        "MutatingWebhookConfiguration",
        "istio-sidecar-injector",
        webhooks=[
            {
                "name": "namespace.sidecar-injector.istio.io",
                "failurePolicy": "Fail",
                "clientConfig": client,
                "rules": [rule],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 10,
            }
        ],
    )
    d = w.deployment(
        "tracking",
        "parcels",
        "ghcr.io/lumen/parcels:7.7.0",
        [],
        replicas=3,
        rolled="25m",
        revision=51,
        old=[{"image": "ghcr.io/lumen/parcels:7.6.4", "age": "20d", "pods": [up(), up()]}],
        failure=f"Error creating: {said}",
        progress="stuck",
    )
    w.event(
        d["replicaset"],
        "FailedCreate",
        f"Error creating: {said}",
        count=18,
        first="25m",
        source="replicaset-controller",
    )
    w.healthy("tracking", "ghcr.io/lumen/map:2.3.0", "ghcr.io/lumen/notify:0.7.7")
    w.kube("KubeDeploymentRolloutStuck", namespace="tracking", deployment="parcels")
    w.truth(
        "certificate_expiry",
        ("Deployment", "istio-system", "istiod"),
        "certificate has expired",
        ("certificate_expiry", ("Service", "istio-system", "istiod")),
        ("certificate_expiry", ("Deployment", "tracking", "parcels")),
        ("certificate_expiry", ("MutatingWebhookConfiguration", "", "istio-sidecar-injector")),
        mechanism="admission",
        elsewhere=True,
    )
    return w.incident()


def init_container_waits_for_a_migration() -> Document:
    w = cluster(
        "gke",
        "Pods wait in an init container for a migration Job that fails at a lock; nothing of this shows in their own main container. https://kubernetes.io/docs/concepts/workloads/pods/init-containers/",
        cluster="prod-eu",
    )
    wait = container("wait-for-migrations", "bitnami/kubectl:1.31", env={"JOB": "crm-migrate-318"})
    d = w.deployment(
        "crm",
        "crm-web",
        "europe-docker.pkg.dev/acme/crm/web:318",
        [{**up(), "at": "wait-for-migrations", "ready": False, "age": "31m"}],
        replicas=3,
        template={"initContainers": [wait]},
        old=[{"image": "europe-docker.pkg.dev/acme/crm/web:317", "age": "7d", "pods": [up(), up(), up()]}],
        rolled="31m",
        revision=318,
        progress="stuck",
    )
    job = w.job(
        "crm",
        "crm-migrate-318",
        "europe-docker.pkg.dev/acme/crm/web:318",
        [ended(1, age="31m", finished="29m"), ended(1, age="28m", finished="26m"), ended(1, age="24m", finished="22m")],
        age="31m",
        limit=2,
        failed=("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
    )
    w.statefulset("crm", "crm-mysql", "mysql:8.0.40", [up()], claim="data", port=3306)
    w.healthy("crm", "europe-docker.pkg.dev/acme/crm/exports:77")
    for pod in job["pods"]:
        w.log(
            pod,
            [
                "== 20261124080000 AddIndexToContacts: migrating ===",
                "-- add_index(:contacts, [:tenant_id, :email], {:unique=>true})",
                "rake aborted!",
                "StandardError: An error has occurred, all later migrations canceled:",
                "Mysql2::Error: Duplicate entry '41-info@example.org' for key 'contacts.index_contacts_on_tenant_id_and_email'",
            ],
        )
    w.log(d["pods"][0], [many(60, "Job crm-migrate-318 not complete yet, waiting 30s ({n})")], at="wait-for-migrations")
    w.event(
        job["object"],
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
        first="20m",
        source="job-controller",
    )
    w.kube("KubePodNotReady", namespace="crm", pod=named(d["pods"][0]))
    w.truth(
        "bad_deploy",
        ("Job", "crm", "crm-migrate-318"),
        "Duplicate entry",
        ("data_bug", ("Job", "crm", "crm-migrate-318")),
        ("bad_deploy", ("Deployment", "crm", "crm-web")),
        ("dependency_down", ("Job", "crm", "crm-migrate-318")),
        ("data_bug", ("StatefulSet", "crm", "crm-mysql")),
        mechanism="dependency",
        elsewhere=True,
    )
    return w.incident()


def backend_was_scaled_to_nothing() -> Document:
    w = cluster(
        "aks",
        "Somebody scaled a backend to zero for a test and forgot it; its callers answer 503. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment",
    )
    w.deployment(
        "media",
        "transcode-api",
        "contoso.azurecr.io/media/transcode-api:2.11.0",
        [],
        replicas=0,
        rolled="95m",
        revision=14,
        age="300d",
    )
    w.scaled("transcode-api", "down", "from 3 to 0", first="42m")
    d = w.deployment(
        "media",
        "upload-portal",
        "contoso.azurecr.io/media/upload-portal:8.0.1",
        [up(), up()],
        env={"TRANSCODE_URL": "http://transcode-api"},
    )
    w.log(
        d["pods"][0],
        [
            many(12, "2026-11-24 11:1{n}:00 +0000 [info] POST /uploads 201"),
            many(70, "2026-11-24 11:4{n}:00 +0000 [error] POST http://transcode-api/jobs: connect: connection refused"),
        ],
    )
    other = w.deployment(
        "media",
        "watermark",
        "contoso.azurecr.io/media/watermark:1.0.2",
        [up(6, last="5d", code=137, reason="OOMKilled")],
    )
    w.log(other["pods"][0], [many(10, "watermark: frame {n} done")])
    w.healthy("media", "contoso.azurecr.io/media/player:4.2.0", "contoso.azurecr.io/media/catalog:1.9.0")
    w.alert(
        "UploadFailures",
        {"app": "upload-portal", "namespace": "media"},
        "more than half of all uploads fail",
        began="38m",
        severity="page",
    )
    w.truth(
        "bad_config",
        ("Deployment", "media", "transcode-api"),
        "Scaled down replica set",
        ("dependency_down", ("Deployment", "media", "transcode-api")),
        mechanism="dependency",
        elsewhere=True,
        herring="watermark was killed for memory five days ago",
    )
    return w.incident()


def service_account_lost_its_role() -> Document:
    w = cluster(
        "openshift",
        "A RoleBinding was removed in a clean-up; an operator may not list what it manages and leaves its readiness. https://kubernetes.io/docs/reference/access-authn-authz/rbac/",
    )
    d = w.deployment(
        "pipelines",
        "build-operator",
        "quay.corp.example.net/ci/build-operator:0.18.2",
        [crash(1, 8, lived="61s")],
        service=False,
        template={"serviceAccountName": "build-operator"},
    )
    w.add("ServiceAccount", "build-operator", "pipelines")
    w.add(
        "Role",
        "build-operator",
        "pipelines",
        rules=[{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "create", "delete"]}],
    )
    lines = [
        many(
            6,
            'W1124 11:55:0{n}.102110       1 reflector.go:561] pkg/mod/k8s.io/client-go@v0.31.0/tools/cache/reflector.go:243: failed to list *v1.Job: jobs.batch is forbidden: User "system:serviceaccount:pipelines:build-operator" cannot list resource "jobs" in API group "batch" in the namespace "pipelines"',
        ),
        "E1124 11:56:00.101823       1 leaderelection.go:332] error retrieving resource lock pipelines/build-operator",
        "F1124 11:56:00.102000       1 main.go:88] timed out waiting for caches to sync",
    ]
    w.log(d["pods"][0], lines, lines)
    w.backoff(d["pods"][0], 40, first="33m")
    w.healthy("pipelines", "quay.corp.example.net/ci/artifact-store:2.0.0", "quay.corp.example.net/ci/ui:1.3.1")
    w.kube("KubePodCrashLooping", namespace="pipelines", pod=named(d["pods"][0]), container="build-operator")
    w.truth(
        "bad_config",
        ("Deployment", "pipelines", "build-operator"),
        "cannot list resource",
        ("bad_config", ("ServiceAccount", "pipelines", "build-operator")),
        ("bad_config", ("RoleBinding", "pipelines", "build-operator")),
        ("bad_config", ("Role", "pipelines", "build-operator")),
        mechanism="permissions",
    )
    return w.incident()


def cloud_role_is_denied() -> Document:
    w = cluster(
        "eks",
        "The IAM role of a service account lost a permission in a Terraform change; uploads to object storage are denied. https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html",
    )
    w.add(
        "ServiceAccount",
        "report-writer",
        "reports",
        annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::112233445566:role/report-writer"},
    )
    cron = w.cronjob(
        "reports",
        "nightly-report",
        "acme/report-writer:3.2.1",
        "0 3 * * *",
        last="9h",
        success="33h",
        template={"serviceAccountName": "report-writer"},
    )
    job = w.job(
        "reports",
        "nightly-report-29401620",
        "acme/report-writer:3.2.1",
        [ended(1, age="9h", finished="538m"), ended(1, age="535m", finished="533m")],
        age="9h",
        owner=cron,
        limit=1,
        failed=("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        since="532m",
        template={"serviceAccountName": "report-writer"},
    )
    for pod in job["pods"]:
        w.log(
            pod,
            [
                many(40, "INFO rendering report {n}/40"),
                "INFO uploading reports-2026-11-24.tar to s3://acme-reports-prod",
                'ERROR botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the PutObject operation: User: arn:aws:sts::112233445566:assumed-role/report-writer/botocore-session is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::acme-reports-prod/2026-11-24.tar"',
            ],
        )
    w.job(
        "reports",
        "nightly-report-29400180",
        "acme/report-writer:3.2.1",
        [ended(0, age="33h", finished="1970m")],
        age="33h",
        owner=cron,
        done=True,
    )
    w.healthy("reports", "acme/report-ui:2.0.0", "acme/metabase-proxy:1.0.0", "acme/query-cache:0.5.5")
    w.kube("KubeJobFailed", namespace="reports", job_name="nightly-report-29401620", began="8h")
    w.truth(
        "bad_config",
        ("Job", "reports", "nightly-report-29401620"),
        "AccessDenied",
        ("bad_config", ("CronJob", "reports", "nightly-report")),
        ("bad_config", ("ServiceAccount", "reports", "report-writer")),
        mechanism="permissions",
    )
    return w.incident()


INCIDENTS = (
    postgres_password_was_rotated,
    rabbit_refuses_the_worker,
    cache_has_no_place,
    database_ran_out_of_disk,
    selector_fits_nothing,
    service_points_to_a_port_nobody_opens,
    default_deny_cuts_off_the_database,
    policy_lets_only_the_old_caller_in,
    coredns_is_killed_for_memory,
    corefile_has_a_slip,
    webhook_without_endpoints,
    certificate_of_a_webhook_expired,
    init_container_waits_for_a_migration,
    backend_was_scaled_to_nothing,
    service_account_lost_its_role,
    cloud_role_is_denied,
)
