"""Releases, probes, certificates, jobs, queues, sidecars, models and the monitoring itself."""

from __future__ import annotations

from tests.wild.build import (
    Document,
    cluster,
    container,
    crash,
    ended,
    evicted,
    http_probe,
    many,
    named,
    pending,
    unready,
    up,
)


def liveness_probe_was_made_impatient() -> Document:
    w = cluster(
        "eks",
        "A change of the chart set a liveness probe that begins before the application has started; it is killed again and again at the same moment. https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
    )
    hasty = {"livenessProbe": http_probe("/healthz", 8080, initialDelaySeconds=5, periodSeconds=5, failureThreshold=2)}
    patient = {"livenessProbe": http_probe("/healthz", 8080, initialDelaySeconds=120)}
    d = w.deployment(
        "erp",
        "general-ledger",
        "acme/general-ledger:4.18.0",
        [crash(143, 8, lived="16s", message=""), crash(143, 8, lived="16s")],
        with_=hasty,
        old=[{"image": "acme/general-ledger:4.18.0", "with_": patient, "age": "40d"}],
        rolled="29m",
        revision=33,
    )
    for pod in d["pods"]:
        w.unhealthy(
            pod,
            'Liveness probe failed: Get "http://10.0.2.40:8080/healthz": dial tcp 10.0.2.40:8080: connect: connection refused',
            18,
            first="28m",
        )
        w.event(
            pod,
            "Killing",
            "Container general-ledger failed liveness probe, will be restarted",
            kind="Normal",
            count=9,
            first="28m",
        )
        w.backoff(pod, 80, first="26m")
        start = [
            " :: Spring Boot ::                (v3.2.11)",
            "2026-11-24T11:56:01.002Z  INFO 1 --- [main] c.a.ledger.LedgerApplication : Starting LedgerApplication v4.18.0",
            many(
                12,
                "2026-11-24T11:56:0{n}.410Z  INFO 1 --- [main] liquibase.changelog : Reading from public.databasechangelog",
            ),
            "2026-11-24T11:56:16.004Z  INFO 1 --- [ionShutdownHook] o.s.b.w.e.tomcat.GracefulShutdown : Commencing graceful shutdown. Waiting for active requests to complete",
        ]
        w.log(pod, start[:-1], start)
    w.statefulset("erp", "ledger-db", "postgres:16.4", [up()], claim="data", port=5432)
    w.healthy("erp", "acme/invoicing:9.0.1", "acme/dunning:2.2.0")
    w.kube("KubePodCrashLooping", namespace="erp", pod=named(d["pods"][0]), container="general-ledger")
    w.truth(
        "bad_config",
        ("Deployment", "erp", "general-ledger"),
        "failed liveness probe, will be restarted",
        ("bad_deploy", ("Deployment", "erp", "general-ledger")),
        mechanism="probe",
    )
    return w.incident()


def path_of_the_probe_is_gone() -> Document:
    w = cluster(
        "aks",
        "The new framework version serves health under another path; the readiness probe gets 404 and the rollout stands. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment",
    )
    probe = {"readinessProbe": http_probe("/health/ready", 8080)}
    d = w.deployment(
        "fleet",
        "telematics",
        "contoso.azurecr.io/fleet/telematics:5.0.0",
        [unready(age="27m")],
        replicas=3,
        with_=probe,
        old=[{"image": "contoso.azurecr.io/fleet/telematics:4.22.1", "age": "34d", "pods": [up(), up(), up()]}],
        rolled="27m",
        revision=45,
        progress="stuck",
    )
    w.unhealthy(d["pods"][0], "Readiness probe failed: HTTP probe failed with statuscode: 404", 165, first="27m")
    w.log(
        d["pods"][0],
        [
            "INFO:     Started server process [1]",
            "INFO:     Application startup complete.",
            "INFO:     Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)",
            many(90, 'INFO:     10.244.1.1:4{n} - "GET /health/ready HTTP/1.1" 404 Not Found'),
        ],
    )
    w.herring("neighbour", "fleet")
    w.healthy(
        "fleet",
        "contoso.azurecr.io/fleet/routes:2.0.2",
        "contoso.azurecr.io/fleet/drivers:7.7.0",
        "contoso.azurecr.io/fleet/geofence:1.0.4",
    )
    w.kube("KubeDeploymentRolloutStuck", namespace="fleet", deployment="telematics")
    w.truth(
        "bad_deploy",
        ("Deployment", "fleet", "telematics"),
        "statuscode: 404",
        ("bad_config", ("Deployment", "fleet", "telematics")),
        mechanism="probe",
    )
    return w.incident()


def new_version_panics() -> Document:
    w = cluster(
        "gke",
        "A Go service panics with a nil pointer at start of its new version. https://go.dev/blog/defer-panic-and-recover",
        cluster="prod-eu",
    )
    base = "europe-docker.pkg.dev/acme/pay/router"
    d = w.deployment(
        "pay",
        "payment-router",
        f"{base}:2026.47.2",
        [crash(2, 8, lived="1s"), crash(2, 8, lived="1s")],
        replicas=4,
        old=[{"image": f"{base}:2026.46.0", "age": "6d", "pods": [up(), up(), up()]}],
        rolled="21m",
        revision=147,
        progress="stuck",
        key="app.kubernetes.io/name",
    )
    lines = [
        '{"level":"info","ts":"2026-11-24T11:56:00Z","msg":"payment-router 2026.47.2 (go1.23.3)"}',
        '{"level":"info","ts":"2026-11-24T11:56:00Z","msg":"loaded 41 acquirers"}',
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x9a41c2]",
        "",
        "goroutine 1 [running]:",
        "acme.example/pay/router/internal/rules.(*Engine).Compile(0x0, {0xc000412000, 0x29, 0x40})",
        "\t/src/internal/rules/engine.go:88 +0x42",
        "main.main()",
        "\t/src/cmd/router/main.go:61 +0x3a5",
    ]
    for pod in d["pods"][:2]:
        w.log(pod, lines, lines)
        w.backoff(pod, 80, first="20m")
    w.config("pay", "acquirers", {"acquirers.yaml": "- id: a1\n"}, changed="9d", by="argocd-controller")
    w.healthy("pay", "europe-docker.pkg.dev/acme/pay/vault:12", "europe-docker.pkg.dev/acme/pay/settlement:230")
    w.alert(
        "CrashLoop",
        {"namespace": "pay", "deployment": "payment-router"},
        "payment-router is crash looping",
        severity="page",
        began="15m",
    )
    w.truth(
        "bad_deploy",
        ("Deployment", "pay", "payment-router"),
        "nil pointer dereference",
        mechanism="release",
        herring="a config map was changed nine days ago",
    )
    return w.incident()


def library_is_missing_from_the_image() -> Document:
    w = cluster(
        "bare",
        "A dependency was dropped from the lock file; the worker cannot import it. The web pods of the same release do not need it. https://docs.python.org/3/library/exceptions.html#ModuleNotFoundError",
    )
    image = "registry.corp.example.net/lims/app:3.11.0"
    lines = [
        "Traceback (most recent call last):",
        '  File "/usr/local/bin/celery", line 8, in <module>',
        "    sys.exit(main())",
        '  File "/app/lims/tasks/__init__.py", line 4, in <module>',
        "    from lims.tasks import barcodes",
        '  File "/app/lims/tasks/barcodes.py", line 3, in <module>',
        "    import zxingcpp",
        "ModuleNotFoundError: No module named 'zxingcpp'",
    ]
    d = w.deployment(
        "lims",
        "lims-worker",
        image,
        [crash(1, 11, lived="4s"), crash(1, 11, lived="4s")],
        service=False,
        rolled="37m",
        revision=19,
        with_={"args": ["celery", "-A", "lims", "worker"]},
        old=[{"image": "registry.corp.example.net/lims/app:3.10.2", "age": "14d"}],
    )
    w.deployment(
        "lims",
        "lims-web",
        image,
        [up(age="37m"), up(age="37m")],
        rolled="37m",
        revision=19,
        old=[{"image": "registry.corp.example.net/lims/app:3.10.2", "age": "14d"}],
    )
    for pod in d["pods"]:
        w.log(pod, lines, lines)
        w.backoff(pod, 150, first="36m")
    w.statefulset("lims", "lims-redis", "redis:7.2.5", [up()], port=6379)
    w.healthy("lims", "registry.corp.example.net/lims/docs:1.0.0")
    w.kube("KubeDeploymentReplicasMismatch", namespace="lims", deployment="lims-worker", began="20m")
    w.truth("bad_deploy", ("Deployment", "lims", "lims-worker"), "No module named 'zxingcpp'", mechanism="release")
    return w.incident()


def certificate_of_the_site_expired() -> Document:
    w = cluster(
        "k3s",
        "cert-manager could not renew the site's certificate for weeks because its HTTP-01 challenge was redirected; now it is expired. https://cert-manager.io/docs/troubleshooting/acme/",
    )
    cm = w.deployment(
        "cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller:v1.15.3", [up()], service=False
    )
    w.log(
        cm["pods"][0],
        [
            many(
                12,
                'E1124 11:{n}:10.402115       1 sync.go:190] "propagation check failed" err="wrong status code \'404\', expected \'200\'" logger="cert-manager.challenges" resource_name="shop-tls-3-1421-2211" resource_namespace="shop" dnsName="shop.example.com" type="HTTP-01"',
            ),
            'I1124 11:40:00.100211       1 trigger_controller.go:215] "Certificate must be re-issued" logger="cert-manager.certificates-trigger" key="shop/shop-tls" reason="Expired" message="Certificate expired on Tue, 24 Nov 2026 11:21:09 UTC"',
        ],
    )
    secret = w.secret(
        "shop",
        "shop-tls",
        ["tls.crt", "tls.key"],
        age="90d",
        kind="kubernetes.io/tls",
        changed="90d",
        by="cert-manager-certificates-issuing",
    )
    secret["metadata"]["annotations"] = {
        "cert-manager.io/certificate-name": "shop-tls",
        "cert-manager.io/issuer-name": "letsencrypt",
    }
    w.herring("rollout", "shop")
    w.healthy("shop", "ghcr.io/lumen/shop:12.2.0", "ghcr.io/lumen/api:12.2.1", "ghcr.io/lumen/images:3.0.0")
    w.add(
        "Ingress",
        "shop",
        "shop",
        annotations={"cert-manager.io/cluster-issuer": "letsencrypt"},
        spec={
            "ingressClassName": "traefik",
            "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
            "rules": [
                {
                    "host": "shop.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "shop", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
        status={"loadBalancer": {}},
    )
    t = w.deployment("kube-system", "traefik", "rancher/mirrored-library-traefik:2.11.10", [up()], port=8443)
    w.log(
        t["pods"][0],
        [
            many(
                40,
                'time="2026-11-24T11:4{n}:10Z" level=debug msg="http: TLS handshake error from 198.51.100.{n}:51011: remote error: tls: expired certificate"',
            )
        ],
    )
    w.alert(
        "ProbeFailed",
        {"job": "blackbox-http", "instance": "https://shop.example.com/"},
        "https://shop.example.com/ cannot be reached",
        began="35m",
        severity="page",
    )
    w.truth(
        "certificate_expiry",
        ("Secret", "shop", "shop-tls"),
        "Certificate expired",
        ("certificate_expiry", ("Ingress", "shop", "shop")),
        ("certificate_expiry", ("Deployment", "cert-manager", "cert-manager")),
        ("certificate_expiry", ("Service", "shop", "shop")),
        ("certificate_expiry", ("Certificate", "shop", "shop-tls")),
        ("certificate_expiry", ("Deployment", "shop", "shop")),
        mechanism="certificate",
        elsewhere=True,
    )
    return w.incident()


def client_certificate_expired() -> Document:
    w = cluster(
        "openshift",
        "A consumer's client certificate, mounted from a Secret, ran out; the broker refuses the handshake. https://kafka.apache.org/documentation/#security_ssl",
    )
    d = w.deployment(
        "freight",
        "customs-feed",
        "quay.corp.example.net/freight/customs-feed:1.4.0",
        [unready(age="61d"), unready(age="61d")],
        rolled="61d",
        service=False,
        template={"volumes": [{"name": "tls", "secret": {"secretName": "customs-feed-kafka-client"}}]},
        with_={"readinessProbe": http_probe("/ready", 8080)},
    )
    w.secret(
        "freight", "customs-feed-kafka-client", ["ca.crt", "tls.crt", "tls.key"], age="365d", kind="kubernetes.io/tls"
    )
    for pod in d["pods"]:
        w.log(
            pod,
            [
                many(30, "11:2{n} INFO  Consumer position customs.events-3 offset 88{n}12"),
                many(
                    60,
                    "11:5{n} ERROR SSL handshake failed: javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_expired (node kafka-bootstrap.streams:9093)",
                ),
            ],
        )
        w.unhealthy(pod, "Readiness probe failed: HTTP probe failed with statuscode: 503", 190, first="32m")
    w.statefulset(
        "streams", "kafka", "quay.corp.example.net/streams/kafka:3.7.1", [up(), up(), up()], claim="data", port=9093
    )
    w.herring("restarts", "freight")
    w.healthy("freight", "quay.corp.example.net/freight/manifest:2.2.0", "quay.corp.example.net/freight/tariffs:8.0.1")
    w.kube("KubePodNotReady", namespace="freight", pod=named(d["pods"][0]))
    w.truth(
        "certificate_expiry",
        ("Deployment", "freight", "customs-feed"),
        "certificate_expired",
        ("certificate_expiry", ("Secret", "freight", "customs-feed-kafka-client")),
        mechanism="certificate",
    )
    return w.incident()


def partner_does_not_answer() -> Document:
    w = cluster(
        "eks",
        "A nightly import runs into its deadline because a partner's server does not answer. https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup",
    )
    cron = w.cronjob("imports", "supplier-feed", "acme/supplier-feed:1.9.0", "0 10 * * *", last="2h", success="26h")
    job = w.job(
        "imports",
        "supplier-feed-29402040",
        "acme/supplier-feed:1.9.0",
        [ended(143, age="2h", finished="1h")],
        age="2h",
        owner=cron,
        deadline=3600,
        failed=("DeadlineExceeded", "Job was active longer than specified deadline"),
        since="1h",
    )
    w.event(
        job["object"],
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
        first="1h",
        source="job-controller",
    )
    w.log(
        job["pods"][0],
        [
            "2026-11-24 10:00:03 INFO fetching https://sftp.supplier.example/export/products.csv.gz",
            many(
                58,
                "2026-11-24 10:{n}:33 WARN attempt {n}: HTTPSConnectionPool(host='sftp.supplier.example', port=443): Max retries exceeded (Caused by ConnectTimeoutError: Connection to sftp.supplier.example timed out. (connect timeout=30))",
            ),
            "2026-11-24 11:00:01 INFO got SIGTERM, stopping",
        ],
    )
    w.job(
        "imports",
        "supplier-feed-29400600",
        "acme/supplier-feed:1.9.0",
        [ended(0, age="26h", finished="1548m")],
        age="26h",
        owner=cron,
        done=True,
    )
    w.healthy("imports", "acme/import-ui:0.8.0", "acme/mapping:3.1.2", "acme/dedupe:1.1.1")
    w.kube("KubeJobFailed", namespace="imports", job_name="supplier-feed-29402040", began="45m")
    w.truth(
        "dependency_down",
        ("Job", "imports", "supplier-feed-29402040"),
        "Connection to sftp.supplier.example timed out",
        ("network", ("Job", "imports", "supplier-feed-29402040")),
        ("dependency_down", ("CronJob", "imports", "supplier-feed")),
        ("dependency_down", ("Service", "", "sftp.supplier.example")),
        ("network", ("CronJob", "imports", "supplier-feed")),
        mechanism="job",
        elsewhere=True,
    )
    return w.incident()


def cron_job_was_suspended() -> Document:
    w = cluster(
        "gke",
        "A backup CronJob was suspended during a migration and never resumed; a team's rule notices that no backup was made. https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-suspension",
    )
    cron = w.cronjob(
        "databases",
        "pg-backup",
        "europe-docker.pkg.dev/acme/db/backup:16",
        "15 1 * * *",
        last="59h",
        success="59h",
        suspend=True,
    )
    w.job(
        "databases",
        "pg-backup-29398635",
        "europe-docker.pkg.dev/acme/db/backup:16",
        [ended(0, age="59h", finished="3522m")],
        age="59h",
        owner=cron,
        done=True,
    )
    w.statefulset("databases", "pg-main", "postgres:16.4", [up(), up()], claim="data", port=5432)
    w.healthy(
        "databases", "europe-docker.pkg.dev/acme/db/pgbouncer:1.23.1", "europe-docker.pkg.dev/acme/db/exporter:0.15.0"
    )
    w.alert(
        "BackupTooOld",
        {"app": "pg-backup", "namespace": "databases"},
        "The last backup of pg-main is older than 48 hours",
        severity="warning",
        began="11h",
        expr='time() - kube_cronjob_status_last_successful_time{cronjob="pg-backup"} > 172800',
    )
    w.truth("bad_config", ("CronJob", "databases", "pg-backup"), '"suspend": true', mechanism="job")
    w.answer["decisive"] = "suspend"
    return w.incident()


def poisoned_message_stops_the_queue() -> Document:
    w = cluster(
        "bare",
        "A message that cannot be parsed is delivered again and again; the consumer dies of it, and the queue grows behind it. https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling",
    )
    d = w.deployment(
        "wms",
        "pick-planner",
        "registry.corp.example.net/wms/pick-planner:2.31.0",
        [crash(1, 15, lived="3s")],
        service=False,
        rolled="47d",
    )
    lines = [
        " [*] Waiting for messages in pick.orders",
        "Received order 5512901 (redelivered=true)",
        "Traceback (most recent call last):",
        '  File "/app/planner/consume.py", line 71, in on_message',
        "    lines = [Line(sku=l['sku'], qty=int(l['qty'])) for l in body['lines']]",
        "ValueError: invalid literal for int() with base 10: '3,5'",
    ]
    w.log(d["pods"][0], lines, lines)
    w.backoff(d["pods"][0], 220, first="58m")
    w.statefulset("wms", "rabbit", "rabbitmq:3.13.7", [up(), up(), up()], claim="data", port=5672)
    w.herring("warning", "wms")
    w.healthy("wms", "registry.corp.example.net/wms/terminal:5.5.5", "registry.corp.example.net/wms/labels:1.2.3")
    w.alert(
        "QueueGrows",
        {"queue": "pick.orders", "service": "pick-planner"},
        "pick.orders has 18,000 messages and grows",
        began="40m",
        severity="page",
    )
    w.truth(
        "data_bug",
        ("Deployment", "wms", "pick-planner"),
        "invalid literal for int()",
        ("queue_backlog", ("Deployment", "wms", "pick-planner")),
        ("crash_loop", ("Deployment", "wms", "pick-planner")),
        ("data_bug", ("Queue", "wms", "pick.orders")),
        mechanism="queue",
    )
    return w.incident()


def consumers_cannot_keep_up() -> Document:
    w = cluster(
        "aks",
        "A marketing campaign filled a queue; the consumers work without any error but their number is fixed. https://keda.sh/docs/latest/concepts/scaling-deployments/",
    )
    d = w.deployment(
        "campaigns",
        "mail-sender",
        "contoso.azurecr.io/campaigns/mail-sender:6.1.0",
        [up(age="18d"), up(age="18d")],
        service=False,
        rolled="18d",
    )
    for pod in d["pods"]:
        w.log(
            pod,
            [many(60, "info: sent batch {n} of campaign black-friday-2026 (100 mails, 2.1 s), lag=41{n}000 messages")],
        )
    p = w.deployment("campaigns", "campaign-planner", "contoso.azurecr.io/campaigns/planner:3.0.1", [up()])
    w.log(
        p["pods"][0],
        [
            "info: campaign black-friday-2026 released to 4,200,000 recipients by m.jensen",
            many(20, "info: enqueued {n}00,000 of 4,200,000 messages to mail-out"),
        ],
    )
    w.statefulset("campaigns", "mail-kafka", "apache/kafka:3.8.1", [up(), up(), up()], claim="data", port=9092)
    w.healthy("campaigns", "contoso.azurecr.io/campaigns/templates:1.4.0")
    w.alert(
        "ConsumerLagHigh",
        {"consumergroup": "mail-sender", "topic": "mail-out", "namespace": "campaigns"},
        "mail-sender is 4 million messages behind",
        severity="warning",
        began="50m",
    )
    w.truth(
        "queue_backlog",
        ("Deployment", "campaigns", "mail-sender"),
        "black-friday-2026",
        ("traffic_surge", ("Deployment", "campaigns", "mail-sender")),
        ("traffic_surge", ("Deployment", "campaigns", "campaign-planner")),
        ("queue_backlog", ("Queue", "campaigns", "mail-out")),
        mechanism="queue",
    )
    return w.incident()


def metrics_port_lost_its_name() -> Document:
    w = cluster(
        "eks",
        "A chart renamed the metrics port; the Service's target no longer resolves and Prometheus scrapes nothing. The service itself is well. https://prometheus-operator.dev/docs/platform/troubleshooting/",
    )
    w.deployment(
        "search",
        "query-api",
        "acme/query-api:15.0.0",
        [up(age="48m"), up(age="48m"), up(age="48m")],
        rolled="48m",
        revision=70,
        old=[{"image": "acme/query-api:14.9.3", "age": "12d"}],
    )
    w.service("search", "query-api-metrics", {"app": "query-api"}, 9102, target="metrics")
    w.scaled("query-api", "up", "to 3", first="48m")
    prom = w.statefulset(
        "monitoring", "prometheus-k8s", "quay.io/prometheus/prometheus:v2.55.1", [up(), up()], port=9090
    )
    w.log(
        prom["pods"][0],
        [
            many(
                40,
                'ts=2026-11-24T11:1{n}:00.011Z caller=compact.go:523 level=info component=tsdb msg="write block resulted in empty block" mint={epoch}',
            )
        ],
    )
    w.healthy("search", "acme/indexer:3.3.1", "acme/suggest:2.0.8")
    w.kube(
        "TargetDown", namespace="search", service="query-api-metrics", job="query-api-metrics", value="100", began="33m"
    )
    w.truth(
        "monitoring_gap",
        ("Service", "search", "query-api-metrics"),
        '"targetPort": "metrics"',
        ("bad_config", ("Service", "search", "query-api-metrics")),
        ("monitoring_gap", ("Deployment", "search", "query-api")),
        ("bad_deploy", ("Deployment", "search", "query-api")),
        ("monitoring_gap", ("Target", "search", "query-api-metrics")),
        mechanism="monitoring",
    )
    w.answer["decisive"] = "metrics"
    return w.incident()


def exporter_may_not_be_scraped() -> Document:
    w = cluster(
        "openshift",
        "A NetworkPolicy of an application's namespace keeps Prometheus out; the application is well. https://kubernetes.io/docs/concepts/services-networking/network-policies/",
    )
    w.deployment("ledger", "journal", "quay.corp.example.net/ledger/journal:3.2.0", [up(), up()], rolled="40d")
    w.add(
        "NetworkPolicy",
        "only-from-gateway",
        "ledger",
        age="50m",
        spec={
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}]}],
        },
    )
    g = w.deployment("gateway", "kong", "kong:3.8.0", [up(), up()])
    w.log(
        g["pods"][0],
        [many(80, '10.128.0.1 - - [24/Nov/2026:11:5{n}:02 +0000] "POST /ledger/v1/entries HTTP/1.1" 201 88')],
    )
    p = w.statefulset("monitoring", "prometheus-app", "quay.io/prometheus/prometheus:v2.53.2", [up()], port=9090)
    w.log(
        p["pods"][0],
        [
            many(
                30,
                'ts=2026-11-24T11:5{n}:00.400Z caller=scrape.go:1400 level=debug component="scrape manager" scrape_pool=serviceMonitor/ledger/journal/0 target=http://10.129.2.14:8080/metrics msg="Scrape failed" err="Get \\"http://10.129.2.14:8080/metrics\\": context deadline exceeded"',
            )
        ],
    )
    w.herring("rollout", "ledger")
    w.healthy("ledger", "quay.corp.example.net/ledger/archive:1.1.0", "quay.corp.example.net/ledger/audit:2.6.0")
    w.kube("TargetDown", namespace="ledger", service="journal", job="journal", value="100", began="35m")
    w.truth(
        "monitoring_gap",
        ("NetworkPolicy", "ledger", "only-from-gateway"),
        "only-from-gateway",
        ("network", ("NetworkPolicy", "ledger", "only-from-gateway")),
        ("network", ("Service", "ledger", "journal")),
        ("monitoring_gap", ("Service", "ledger", "journal")),
        ("monitoring_gap", ("Deployment", "ledger", "journal")),
        ("network", ("Deployment", "ledger", "journal")),
        ("monitoring_gap", ("Target", "ledger", "journal")),
        mechanism="monitoring",
        elsewhere=True,
    )
    return w.incident()


def sidecar_never_ends() -> Document:
    w = cluster(
        "gke",
        "A Job's work was done in minutes, but an injected proxy sidecar runs on, so the Job never completes. https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#jobs-with-sidecar-containers",
    )
    proxy = container("istio-proxy", "docker.io/istio/proxyv2:1.22.6", 15090)
    job = w.job(
        "billing",
        "dunning-run-2026-11",
        "europe-docker.pkg.dev/acme/billing/dunning:44",
        [{**ended(0, age="15h", finished="14h"), "at": "dunning-run-2026-11"}],
        age="15h",
        sidecars=[proxy],
    )
    pod = job["pods"][0]
    job["object"]["status"]["active"] = 1
    side = pod["status"]["containerStatuses"][1]
    side |= {"ready": True, "started": True, "state": {"running": {"startedAt": w.ago("15h")}}}
    pod["status"] |= {"phase": "Running"}
    for one in pod["status"]["conditions"]:
        if one["status"] == "False":
            one |= {"reason": "ContainersNotReady", "message": "containers with unready status: [dunning-run-2026-11]"}
    w.log(pod, [many(40, "INFO dunning letter {n} written"), "INFO all 40 letters written, exiting with 0"])
    w.log(
        pod,
        [
            many(
                50,
                "2026-11-24T11:{n}:00.113Z\tinfo\txdsproxy\tconnected to upstream XDS server: istiod.istio-system.svc:15012",
            )
        ],
        at="istio-proxy",
    )
    w.deployment("istio-system", "istiod", "docker.io/istio/pilot:1.22.6", [up(), up()])
    w.healthy("billing", "europe-docker.pkg.dev/acme/billing/api:210", "europe-docker.pkg.dev/acme/billing/pdf:17")
    w.kube("KubeJobNotCompleted", namespace="billing", job_name="dunning-run-2026-11", began="3h")
    w.truth(
        "bad_config",
        ("Job", "billing", "dunning-run-2026-11"),
        "istio-proxy",
        ("bad_deploy", ("Job", "billing", "dunning-run-2026-11")),
        ("bad_config", ("Pod", "billing", named(pod))),
        mechanism="sidecar",
    )
    return w.incident()


def sidecar_has_the_wrong_upstream() -> Document:
    w = cluster(
        "aks",
        "The main container is well; an authenticating sidecar in front of it cannot find its identity provider after the issuer's address was changed. https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview",
    )
    proxy = container(
        "oauth2-proxy",
        "quay.io/oauth2-proxy/oauth2-proxy:v7.7.1",
        4180,
        env={"OAUTH2_PROXY_OIDC_ISSUER_URL": "https://login.contoso.example/realms/prd"},
    )
    d = w.deployment(
        "wiki",
        "wiki",
        "contoso.azurecr.io/wiki/wiki:11.0.0",
        [crash(1, 12, at="oauth2-proxy", lived="1s"), crash(1, 12, at="oauth2-proxy", lived="1s")],
        sidecars=[proxy],
        rolled="43m",
        revision=8,
        old=[{"image": "contoso.azurecr.io/wiki/wiki:11.0.0", "age": "60d"}],
    )
    lines = [
        "[2026/11/24 11:56:40] [provider.go:55] Performing OIDC Discovery...",
        '[2026/11/24 11:56:40] [main.go:59] ERROR: Failed to initialise OAuth2 Proxy: error intiailising provider: could not create provider data: error building OIDC ProviderVerifier: could not get verifier builder: error while discovery OIDC configuration: unexpected status "404": {"error":"Realm does not exist"}',
    ]
    for pod in d["pods"]:
        w.log(pod, lines, lines, at="oauth2-proxy")
        w.log(pod, [many(30, "wiki: GET /-/health 200 {n}ms")])
        w.backoff(pod, 190, first="42m", at="oauth2-proxy")
    w.healthy("wiki", "contoso.azurecr.io/wiki/search:2.2.0", "contoso.azurecr.io/wiki/export:1.0.1")
    w.alert("WikiDown", {"app": "wiki"}, "The wiki does not answer", began="38m")
    w.truth(
        "bad_config",
        ("Deployment", "wiki", "wiki"),
        "Realm does not exist",
        ("bad_deploy", ("Deployment", "wiki", "wiki")),
        mechanism="sidecar",
    )
    return w.incident()


def model_cannot_be_loaded() -> Document:
    w = cluster(
        "gke",
        "A model server is rolled to a new model version whose file was written by a newer library. https://scikit-learn.org/stable/model_persistence.html",
        cluster="ml-prod",
    )
    d = w.deployment(
        "scoring",
        "churn-predictor",
        "europe-docker.pkg.dev/acme/ml/sklearn-server:1.4.2",
        [crash(1, 9, lived="8s")],
        replicas=2,
        env={"MODEL_URI": "gs://acme-models/churn/v18"},
        old=[
            {
                "image": "europe-docker.pkg.dev/acme/ml/sklearn-server:1.4.2",
                "env": {"MODEL_URI": "gs://acme-models/churn/v17"},
                "age": "25d",
                "pods": [up(), up()],
            }
        ],
        rolled="24m",
        revision=18,
        progress="stuck",
    )
    lines = [
        "2026-11-24 11:56:10.113 1 kserve INFO [storage.py:download():66] Copying contents of gs://acme-models/churn/v18 to local",
        "2026-11-24 11:56:14.090 1 kserve INFO [storage.py:download():110] Successfully copied gs://acme-models/churn/v18 to /mnt/models",
        "Traceback (most recent call last):",
        '  File "/sklearnserver/model.py", line 44, in load',
        "    self._model = joblib.load(model_file)",
        "ValueError: node array from the pickle has an incompatible dtype:",
        "- expected: {'names': ['left_child', 'right_child', 'feature', 'threshold', 'impurity', 'n_node_samples', 'weighted_n_node_samples'], ...}",
    ]
    w.log(d["pods"][0], lines, lines)
    w.backoff(d["pods"][0], 90, first="23m")
    w.herring("restarts", "scoring")
    w.healthy(
        "scoring", "europe-docker.pkg.dev/acme/ml/feature-api:31", "europe-docker.pkg.dev/acme/ml/ltv-predictor:4"
    )
    w.kube("KubePodCrashLooping", namespace="scoring", pod=named(d["pods"][0]), container="churn-predictor")
    w.truth(
        "bad_model_version",
        ("Deployment", "scoring", "churn-predictor"),
        "incompatible dtype",
        ("bad_deploy", ("Deployment", "scoring", "churn-predictor")),
        ("bad_config", ("Deployment", "scoring", "churn-predictor")),
        ("bad_model_version", ("Model", "", "churn")),
        mechanism="model",
    )
    return w.incident()


def no_node_has_a_free_graphics_card() -> Document:
    w = cluster(
        "bare",
        "A training job took all GPUs of the cluster; an inference server that was restarted finds none. https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
        nodes=2,
    )
    w.node("gpu-1", cpu="32", taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}])
    gpu = {
        "resources": {
            "requests": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
        }
    }
    tolerates = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]}
    w.find("Node", "gpu-1")["status"]["allocatable"] = {
        "cpu": "32",
        "memory": "263921340Ki",
        "pods": "110",
        "nvidia.com/gpu": "4",
    }
    said = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    d = w.deployment(
        "llm",
        "chat-inference",
        "vllm/vllm-openai:v0.6.4",
        [pending(said, age="26m")],
        with_=gpu,
        template=tolerates,
        port=8000,
    )
    w.event(d["pods"][0], "FailedScheduling", said, count=6, first="26m", source="default-scheduler")
    t = w.job(
        "research",
        "finetune-7b-r3",
        "registry.corp.example.net/ml/trainer:0.12",
        [up(node="gpu-1", age="70m")],
        age="70m",
        with_={"resources": {"limits": {"nvidia.com/gpu": "4"}, "requests": {"nvidia.com/gpu": "4"}}},
        template=tolerates,
    )
    w.log(t["pods"][0], [many(50, "{'loss': 1.4{n}, 'grad_norm': 0.8, 'epoch': 0.{n}}")])
    w.healthy(
        "llm",
        "registry.corp.example.net/llm/gateway:2.0.0",
        "registry.corp.example.net/llm/embeddings:1.3.0",
        "registry.corp.example.net/llm/ui:4.0.1",
    )
    w.alert(
        "InferenceUnavailable",
        {"app": "chat-inference", "namespace": "llm"},
        "chat-inference has no replica",
        severity="page",
        began="22m",
    )
    w.truth(
        "scheduling",
        ("Deployment", "llm", "chat-inference"),
        "Insufficient nvidia.com/gpu",
        ("scheduling", ("Pod", "llm", named(d["pods"][0]))),
        ("quota", ("Deployment", "llm", "chat-inference")),
        ("scheduling", ("Job", "research", "finetune-7b-r3")),
        mechanism="model",
    )
    return w.incident()


def ingress_names_a_service_that_is_not_there() -> Document:
    w = cluster(
        "eks",
        "A Service was renamed in a refactoring, the Ingress was not: the controller answers 503. https://kubernetes.github.io/ingress-nginx/troubleshooting/",
    )
    w.deployment(
        "portal",
        "customer-portal",
        "acme/customer-portal:3.0.0",
        [up(age="39m"), up(age="39m")],
        rolled="39m",
        revision=3,
        old=[{"image": "acme/customer-portal:2.9.0", "age": "44d"}],
    )
    w.add(
        "Ingress",
        "portal",
        "portal",
        age="500d",
        spec={
            "ingressClassName": "nginx",
            "rules": [
                {
                    "host": "my.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "portal-web", "port": {"name": "http"}}},
                            }
                        ]
                    },
                }
            ],
        },
        status={"loadBalancer": {"ingress": [{"hostname": "a1b2.elb.eu-west-1.amazonaws.com"}]}},
    )
    c = w.deployment(
        "ingress-nginx",
        "ingress-nginx-controller",
        "registry.k8s.io/ingress-nginx/controller:v1.11.3",
        [up(), up()],
        port=80,
    )
    w.log(
        c["pods"][1],
        [
            many(
                20,
                '10.0.1.9 - - [24/Nov/2026:11:5{n}:10 +0000] "GET / HTTP/2.0" 503 190 "-" "Mozilla/5.0" 12 0.000 [portal-portal-web-http] [] - - - - 9a{n}',
            ),
            'W1124 11:21:02.118001       7 controller.go:1110] Error obtaining Endpoints for Service "portal/portal-web": no object matching key "portal/portal-web" in local store',
        ],
    )
    w.healthy("portal", "acme/documents:2.2.2", "acme/messages:1.1.4")
    w.alert(
        "EndpointDown",
        {"instance": "https://my.example.com", "team": "web"},
        "https://my.example.com answers 503",
        began="35m",
    )
    w.truth(
        "bad_config",
        ("Ingress", "portal", "portal"),
        "no object matching key",
        ("bad_config", ("Service", "portal", "portal-web")),
        ("bad_deploy", ("Deployment", "portal", "customer-portal")),
        ("bad_deploy", ("Ingress", "portal", "portal")),
        mechanism="ingress",
        elsewhere=True,
    )
    return w.incident()


def bare_pod_was_evicted_and_nobody_makes_it_again() -> Document:
    w = cluster(
        "k3s",
        "A pod without a controller was evicted for the node's memory; nothing creates it again. https://kubernetes.io/docs/concepts/workloads/controllers/#alternatives-to-deployments",
    )
    said = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61232Ki. Container license-server was using 812340Ki, request is 256Mi, has larger consumption of memory. "
    pod = w.pod(
        "cad",
        "license-server",
        {"containers": [container("license-server", "registry.corp.example.net/cad/license:11.19", 27000)]},
        evicted(said),
        age="33m",
        labels={"app": "license-server"},
    )
    w.service("cad", "license-server", {"app": "license-server"}, 27000)
    w.event(pod, "Evicted", said, first="33m")
    d = w.deployment(
        "cad",
        "render-farm",
        "registry.corp.example.net/cad/render:8.1",
        [up(), up()],
        env={"LICENSE": "27000@license-server"},
    )
    w.log(
        d["pods"][0],
        [
            many(30, "render: frame {n} queued"),
            many(
                40,
                'render: cannot check out license: Cannot connect to license server system (-15,578:111 "Connection refused")',
            ),
        ],
    )
    w.healthy("cad", "registry.corp.example.net/cad/vault:2.0.0", "registry.corp.example.net/cad/viewer:3.4.0")
    w.alert(
        "RenderJobsStalled",
        {"app": "render-farm"},
        "render-farm has finished no frame for 20 minutes",
        severity="warning",
    )
    w.truth(
        "dependency_down",
        ("Pod", "cad", "license-server"),
        "low on resource: memory",
        ("scheduling", ("Pod", "cad", "license-server")),
        ("dependency_down", ("Service", "cad", "license-server")),
        ("memory_leak", ("Pod", "cad", "license-server")),
        ("node_down", ("Pod", "cad", "license-server")),
        mechanism="bare pod",
        elsewhere=True,
    )
    return w.incident()


INCIDENTS = (
    liveness_probe_was_made_impatient,
    path_of_the_probe_is_gone,
    new_version_panics,
    library_is_missing_from_the_image,
    certificate_of_the_site_expired,
    client_certificate_expired,
    partner_does_not_answer,
    cron_job_was_suspended,
    poisoned_message_stops_the_queue,
    consumers_cannot_keep_up,
    metrics_port_lost_its_name,
    exporter_may_not_be_scraped,
    sidecar_never_ends,
    sidecar_has_the_wrong_upstream,
    model_cannot_be_loaded,
    no_node_has_a_free_graphics_card,
    ingress_names_a_service_that_is_not_there,
    bare_pod_was_evicted_and_nobody_makes_it_again,
)
