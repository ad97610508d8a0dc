"""Images that cannot be pulled or run, and configuration that is missing when a container is to start."""

from __future__ import annotations

from tests.wild.build import (
    Document,
    cluster,
    config_key,
    container,
    crash,
    http_probe,
    many,
    named,
    secret_key,
    unready,
    up,
    waiting,
)


def catalog_of_the_vendor_is_gone() -> Document:
    w = cluster(
        "k3s",
        "A vendor removed its public images from Docker Hub. Nothing happened until a node was replaced and a StatefulSet's pod had to pull again. https://github.com/bitnami/charts/issues/35164",
    )
    image = "docker.io/bitnami/etcd:3.4.15"
    text = f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    etcd = w.statefulset(
        "apisix",
        "apisix-etcd",
        image,
        [up(), up(), waiting("ImagePullBackOff", text, age="47m")],
        claim="data",
        port=2379,
        key="app.kubernetes.io/name",
    )
    w.herring("rollout", "apisix")
    w.healthy("apisix", "apache/apisix:3.8.0-debian", "apache/apisix-dashboard:3.0.1", "ghcr.io/lumen/portal:5.1.0")
    pod = etcd["pods"][2]
    w.event(
        pod,
        "Failed",
        f'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found',
        count=12,
        first="47m",
    )
    w.event(pod, "BackOff", f'Back-off pulling image "{image}"', kind="Normal", count=190, first="47m")
    w.kube("KubeStatefulSetReplicasMismatch", namespace="apisix", statefulset="apisix-etcd", began="31m")
    w.truth("image_pull", ("StatefulSet", "apisix", "apisix-etcd"), "bitnami/etcd:3.4.15: not found", mechanism="image")
    return w.incident()


def pull_secret_is_missing() -> Document:
    w = cluster(
        "aks",
        "A namespace was set up anew and the pull secret that an operator copies there was not. The kubelet says so only in an event; the registry answers 401. https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
    )
    image = "contoso.azurecr.io/billing/invoice-renderer:2.18.0"
    refused = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://contoso.azurecr.io/oauth2/token?scope=repository%3Abilling%2Finvoice-renderer%3Apull&service=contoso.azurecr.io: 401 Unauthorized'
    template = {"imagePullSecrets": [{"name": "acr-pull"}], "serviceAccountName": "invoice-renderer"}
    d = w.deployment(
        "billing-eu",
        "invoice-renderer",
        image,
        [waiting("ImagePullBackOff", f'Back-off pulling image "{image}"') for _ in range(2)],
        age="35m",
        rolled="35m",
        revision=1,
        template=template,
        progress="stuck",
    )
    w.add("ServiceAccount", "invoice-renderer", "billing-eu", age="35m")
    w.secret("billing-eu", "invoice-renderer-db", ["url"], age="35m")
    w.healthy("billing", "contoso.azurecr.io/billing/ledger:7.4.1", "contoso.azurecr.io/billing/tax:1.9.3")
    for pod in d["pods"]:
        w.event(
            pod,
            "FailedToRetrieveImagePullSecret",
            "Unable to retrieve some image pull secrets (acr-pull); attempting to pull the image may not succeed.",
            count=150,
            first="35m",
        )
        w.event(pod, "Failed", f'Failed to pull image "{image}": {refused}', count=11, first="35m")
    w.kube("KubeDeploymentRolloutStuck", namespace="billing-eu", deployment="invoice-renderer")
    w.truth(
        "image_pull",
        ("Deployment", "billing-eu", "invoice-renderer"),
        "acr-pull",
        ("bad_config", ("Deployment", "billing-eu", "invoice-renderer")),
        ("bad_config", ("Secret", "billing-eu", "acr-pull")),
        ("image_pull", ("Secret", "billing-eu", "acr-pull")),
        mechanism="image",
        elsewhere=True,
    )
    return w.incident()


def docker_hub_limits_pulls() -> Document:
    w = cluster(
        "bare",
        "A DaemonSet rolls to many nodes behind one NAT address and Docker Hub answers 429. https://docs.docker.com/docker-hub/usage/",
    )
    image = "fluent/fluent-bit:3.1.9"
    text = f'Back-off pulling image "{image}"'
    ds = w.daemonset(
        "logging",
        "fluent-bit",
        image,
        [
            up(),
            waiting("ImagePullBackOff", text, age="26m"),
            waiting("ErrImagePull", "rpc error: code = Unknown desc = toomanyrequests", age="25m"),
        ],
        port=2020,
    )
    w.herring("neighbour", "crm")
    w.healthy("logging", "opensearchproject/opensearch-dashboards:2.17.0", "quay.io/thanos/receive-proxy:v0.36.1")
    w.healthy("crm", "registry.corp.example.net/crm/web:240.1")
    for pod in ds["pods"][1:]:
        w.event(
            pod,
            "Failed",
            f'Failed to pull image "{image}": failed to pull and unpack image "docker.io/{image}": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/fluent/fluent-bit/manifests/sha256:8e5f: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit',
            count=9,
            first="26m",
        )
    w.kube("KubeDaemonSetRolloutStuck", namespace="logging", daemonset="fluent-bit")
    w.truth(
        "image_pull",
        ("DaemonSet", "logging", "fluent-bit"),
        "toomanyrequests",
        ("quota", ("DaemonSet", "logging", "fluent-bit")),
        mechanism="image",
    )
    return w.incident()


def tag_with_a_slip_of_the_pen() -> Document:
    w = cluster(
        "gke",
        "A release is rolled out with a tag the pipeline never pushed; the old pods serve on, the rollout stands still. https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff",
        cluster="prod-eu",
    )
    base = "europe-docker.pkg.dev/acme-prod/shop/checkout"
    image = f"{base}:v2026.11.24-rc"
    said = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    d = w.deployment(
        "shop",
        "checkout",
        image,
        [
            waiting(
                "ImagePullBackOff",
                f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = {said}',
            )
        ],
        replicas=4,
        old=[{"image": f"{base}:v2026.11.19", "age": "5d", "pods": [up(), up(), up()]}],
        rolled="28m",
        revision=61,
        progress="stuck",
    )
    w.healthy(
        "shop",
        f"{base.replace('checkout', 'cart')}:v2026.11.20",
        f"{base.replace('checkout', 'pricing')}:v2026.11.02",
        f"{base.replace('checkout', 'search')}:v2026.10.30",
    )
    w.event(
        d["pods"][0],
        "Failed",
        f'Failed to pull image "{image}": rpc error: code = NotFound desc = {said}',
        count=10,
        first="28m",
    )
    w.event(
        d["object"],
        "ScalingReplicaSet",
        f"Scaled up replica set {named(d['replicaset'])} to 1",
        kind="Normal",
        first="28m",
        source="deployment-controller",
    )
    w.kube(
        "KubeContainerWaiting",
        namespace="shop",
        pod=named(d["pods"][0]),
        container="checkout",
        reason="ImagePullBackOff",
    )
    w.truth(
        "image_pull",
        ("Deployment", "shop", "checkout"),
        "v2026.11.24-rc",
        ("bad_deploy", ("Deployment", "shop", "checkout")),
        mechanism="image",
    )
    return w.incident()


def operator_has_not_made_the_secret() -> Document:
    w = cluster(
        "eks",
        "External Secrets cannot reach its provider after its role changed, so the Secret of a new release is never created; the pods wait with CreateContainerConfigError. https://github.com/aws-ia/terraform-aws-eks-blueprints/issues/1833",
    )
    env = {"STRIPE_KEY": secret_key("payments-stripe", "api-key"), "DB_URL": secret_key("payments-db", "url")}
    d = w.deployment(
        "payments",
        "payments-api",
        "112233445566.dkr.ecr.eu-west-1.amazonaws.com/payments-api:1.77.0",
        [waiting("CreateContainerConfigError", 'secret "payments-stripe" not found')],
        replicas=3,
        env=env,
        old=[
            {
                "image": "112233445566.dkr.ecr.eu-west-1.amazonaws.com/payments-api:1.76.2",
                "age": "6d",
                "env": {"DB_URL": secret_key("payments-db", "url")},
                "pods": [up(), up(), up()],
            }
        ],
        rolled="40m",
        revision=77,
        progress="stuck",
    )
    w.secret("payments", "payments-db", ["url"])
    eso = w.deployment(
        "external-secrets",
        "external-secrets",
        "ghcr.io/external-secrets/external-secrets:v0.10.7",
        [up(1, last="50m", code=0)],
        key="app.kubernetes.io/name",
        service=False,
    )
    w.healthy(
        "payments",
        "112233445566.dkr.ecr.eu-west-1.amazonaws.com/ledger:0.31.5",
        "112233445566.dkr.ecr.eu-west-1.amazonaws.com/risk-scoring:2.2.0",
    )
    w.event(d["pods"][0], "Failed", 'Error: secret "payments-stripe" not found', count=170, first="40m")
    w.log(
        eso["pods"][0],
        [
            many(
                30,
                '{"level":"info","ts":{epoch}.21,"logger":"controllers.ExternalSecret","msg":"reconciled secret","ExternalSecret":{"name":"payments-db","namespace":"payments"}}',
            ),
            many(
                9,
                '{"level":"error","ts":{epoch}.87,"logger":"controllers.ExternalSecret","msg":"could not get secret data from provider","ExternalSecret":{"name":"payments-stripe","namespace":"payments"},"error":"AccessDeniedException: User: arn:aws:sts::112233445566:assumed-role/eso-payments/external-secrets-provider-aws is not authorized to perform: secretsmanager:GetSecretValue on resource: payments/stripe because no identity-based policy allows the secretsmanager:GetSecretValue action"}',
            ),
        ],
    )
    w.kube("KubePodNotReady", namespace="payments", pod=named(d["pods"][0]), began="24m")
    w.truth(
        "bad_config",
        ("Deployment", "payments", "payments-api"),
        'secret "payments-stripe" not found',
        ("bad_config", ("Secret", "payments", "payments-stripe")),
        ("bad_config", ("Deployment", "external-secrets", "external-secrets")),
        ("dependency_down", ("Deployment", "external-secrets", "external-secrets")),
        ("dependency_down", ("Secret", "payments", "payments-stripe")),
        mechanism="missing config",
        elsewhere=True,
    )
    return w.incident()


def key_was_renamed() -> Document:
    w = cluster(
        "openshift",
        "A ConfigMap's key was renamed with the new release of another component; this one still asks for the old key. https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/",
    )
    env = {"KAFKA_BROKERS": config_key("platform-endpoints", "kafka.brokers"), "TENANT": "eu"}
    d = w.deployment(
        "telemetry-prod",
        "ingest-gateway",
        "quay.corp.example.net/telemetry/ingest-gateway:4.0.12",
        [
            up(age="9d"),
            waiting(
                "CreateContainerConfigError",
                "couldn't find key kafka.brokers in ConfigMap telemetry-prod/platform-endpoints",
                age="33m",
            ),
        ],
        env=env,
        rolled="9d",
    )
    w.config(
        "telemetry-prod",
        "platform-endpoints",
        {"kafka.bootstrap.servers": "kafka-0.kafka:9092", "redis.url": "redis://redis:6379"},
        changed="3h",
        by="argocd-controller",
    )
    w.herring("rollout", "telemetry-prod")
    w.healthy(
        "telemetry-prod",
        "quay.corp.example.net/telemetry/rollup:4.1.0",
        "quay.corp.example.net/telemetry/alert-router:3.9.9",
    )
    bad = d["pods"][1]
    w.event(
        bad,
        "Failed",
        "Error: couldn't find key kafka.brokers in ConfigMap telemetry-prod/platform-endpoints",
        count=140,
        first="33m",
    )
    w.event(
        bad,
        "Pulled",
        'Container image "quay.corp.example.net/telemetry/ingest-gateway:4.0.12" already present on machine',
        kind="Normal",
        count=140,
        first="33m",
    )
    w.kube("KubeDeploymentReplicasMismatch", namespace="telemetry-prod", deployment="ingest-gateway")
    w.truth(
        "bad_config",
        ("Deployment", "telemetry-prod", "ingest-gateway"),
        "kafka.brokers",
        ("bad_config", ("ConfigMap", "telemetry-prod", "platform-endpoints")),
        mechanism="missing config",
        elsewhere=True,
    )
    return w.incident()


def volume_of_a_config_map_that_is_not_there() -> Document:
    w = cluster(
        "bare",
        "After a host reboot a DaemonSet's pod mounts a ConfigMap that somebody had deleted weeks before. https://github.com/grafana/helm-charts/issues/2216",
    )
    template = {"volumes": [{"name": "config", "configMap": {"name": "loki-stack-promtail", "defaultMode": 420}}]}
    ds = w.daemonset(
        "loki",
        "loki-stack-promtail",
        "grafana/promtail:2.9.9",
        [up(), up(), waiting("ContainerCreating", age="3h", no_sandbox=True)],
        template=template,
        port=3101,
        key="app.kubernetes.io/name",
    )
    w.statefulset("loki", "loki", "grafana/loki:2.9.10", [up()], claim="storage", port=3100)
    w.herring("restarts", "loki")
    w.healthy("loki", "grafana/grafana:11.2.0")
    w.healthy("erp", "registry.corp.example.net/erp/core:19.2", "registry.corp.example.net/erp/reports:19.2")
    w.event(
        ds["pods"][2],
        "FailedMount",
        'MountVolume.SetUp failed for volume "config" : configmap "loki-stack-promtail" not found',
        count=95,
        first="3h",
    )
    w.event(
        w.find("Node", "worker-1"),
        "Rebooted",
        "Node worker-1 has been rebooted, boot id: 1f6a3c52-6f0b-4b27-9b7e-4a4c0f6f8a11",
        first="3h",
        source="kubelet",
    )
    w.kube(
        "KubeContainerWaiting",
        namespace="loki",
        pod=named(ds["pods"][2]),
        container="loki-stack-promtail",
        reason="ContainerCreating",
        began="2h",
    )
    w.truth(
        "bad_config",
        ("DaemonSet", "loki", "loki-stack-promtail"),
        'configmap "loki-stack-promtail" not found',
        ("bad_config", ("ConfigMap", "loki", "loki-stack-promtail")),
        mechanism="missing config",
    )
    return w.incident()


def tls_secret_of_a_stateful_set_is_missing() -> Document:
    w = cluster(
        "gke",
        "A StatefulSet mounts a TLS secret that cert-manager should have issued; the issuer's name in the certificate is wrong, so it never came. https://cert-manager.io/docs/troubleshooting/",
    )
    template = {"volumes": [{"name": "tls", "secret": {"secretName": "nats-server-tls"}}]}
    sts = w.statefulset(
        "messaging",
        "nats",
        "nats:2.10.22-alpine",
        [waiting("ContainerCreating", age="55m", no_sandbox=True)],
        replicas=3,
        template=template,
        port=4222,
        age="55m",
    )
    cm = w.deployment(
        "cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller:v1.16.1", [up()], service=False
    )
    w.herring("warning", "messaging")
    w.healthy("messaging", "natsio/nats-box:0.14.5", "acme/event-archiver:2.0.1")
    w.healthy("web", "acme/storefront:8.8.1")
    w.event(
        sts["pods"][0],
        "FailedMount",
        'MountVolume.SetUp failed for volume "tls" : secret "nats-server-tls" not found',
        count=35,
        first="55m",
    )
    w.log(
        cm["pods"][0],
        [
            many(
                20,
                'I1124 11:{n}:02.118842       1 controller.go:162] "re-queuing item due to optimistic locking on resource" logger="cert-manager.certificates-readiness" key="web/storefront-tls"',
            ),
            many(
                6,
                'E1124 11:4{n}:10.402115       1 controller.go:167] "issuer not found" err="Issuer.cert-manager.io \\"internal-ca\\" not found" logger="cert-manager.certificaterequests-issuer-ca" resource_name="nats-server-tls-1" resource_namespace="messaging"',
            ),
        ],
    )
    w.alert(
        "NatsClusterDegraded",
        {"service": "nats", "namespace": "messaging", "team": "platform"},
        "NATS has fewer than 3 servers",
        "0 of 3 NATS servers answer on :8222/varz",
        began="40m",
    )
    w.truth(
        "bad_config",
        ("StatefulSet", "messaging", "nats"),
        "nats-server-tls",
        ("bad_config", ("Secret", "messaging", "nats-server-tls")),
        ("dependency_down", ("Secret", "messaging", "nats-server-tls")),
        mechanism="missing config",
        elsewhere=True,
    )
    return w.incident()


def nginx_with_a_broken_config_map() -> Document:
    w = cluster(
        "eks",
        "The site's nginx.conf lives in a ConfigMap; an edit broke it, and it was noticed at the next restart. https://kubernetes.io/docs/concepts/configuration/configmap/",
    )
    template = {"volumes": [{"name": "conf", "configMap": {"name": "edge-nginx-conf"}}]}
    last = '2026/11/24 11:57:41 [emerg] 1#1: unknown directive "proxy_read_timout" in /etc/nginx/conf.d/default.conf:23\nnginx: [emerg] unknown directive "proxy_read_timout" in /etc/nginx/conf.d/default.conf:23'
    d = w.deployment(
        "edge",
        "edge-proxy",
        "nginx:1.27.2-alpine",
        [crash(1, 8, lived="1s"), crash(1, 8, lived="1s"), up(age="14d")],
        template=template,
        port=80,
        rolled="14d",
    )
    w.config(
        "edge",
        "edge-nginx-conf",
        {
            "default.conf": "server {\n  listen 80;\n  location / {\n    proxy_pass http://storefront.web;\n    proxy_read_timout 60s;\n  }\n}\n"
        },
        changed="50m",
        by="kubectl-edit",
    )
    w.herring("neighbour", "edge")
    w.healthy("web", "acme/storefront:5.0.2", "acme/account:3.3.0")
    w.healthy("edge", "acme/geoip:1.1.0")
    quiet = [
        "/docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration",
        "/docker-entrypoint.sh: Looking for shell scripts in /docker-entrypoint.d/",
        "10-listen-on-ipv6-by-default.sh: info: IPv6 listen already enabled",
        "/docker-entrypoint.sh: Configuration complete; ready for start up",
    ]
    for pod in d["pods"][:2]:
        w.backoff(pod, first="22m")
        w.log(pod, [*quiet, *last.split("\n")], [*quiet, *last.split("\n")])
    w.log(
        d["pods"][2],
        [
            many(
                80,
                '10.0.1.22 - - [24/Nov/2026:11:5{n}:12 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "ELB-HealthChecker/2.0"',
            )
        ],
    )
    w.kube("KubePodCrashLooping", namespace="edge", pod=named(d["pods"][0]), container="edge-proxy")
    w.truth(
        "bad_config",
        ("Deployment", "edge", "edge-proxy"),
        "proxy_read_timout",
        ("bad_config", ("ConfigMap", "edge", "edge-nginx-conf")),
        mechanism="broken config",
        elsewhere=True,
    )
    return w.incident()


def environment_variable_is_missing() -> Document:
    w = cluster(
        "k3s",
        "A Node.js service validates its environment at start; a new revision forgot one variable. https://12factor.net/config",
    )
    before = {"NODE_ENV": "production", "SESSION_SECRET": secret_key("bff", "session"), "UPSTREAM": "http://catalog"}
    now = {"NODE_ENV": "production", "UPSTREAM": "http://catalog"}
    d = w.deployment(
        "storefront",
        "web-bff",
        "registry.gitlab.com/nordlys/web-bff:3f9c2ab1",
        [crash(1, 7, lived="2s")],
        replicas=2,
        env=now,
        old=[
            {"image": "registry.gitlab.com/nordlys/web-bff:3f9c2ab1", "env": before, "age": "2d", "pods": [up(), up()]}
        ],
        rolled="20m",
        revision=12,
        port=3000,
        progress="moving",
    )
    w.secret("storefront", "bff", ["session"])
    w.healthy(
        "storefront", "registry.gitlab.com/nordlys/catalog:77d01b2c", "registry.gitlab.com/nordlys/images:0b19aa23"
    )
    pod = d["pods"][0]
    trace = [
        "> web-bff@4.2.0 start",
        "> node dist/main.js",
        "",
        '{"level":"info","time":"2026-11-24T11:57:02.011Z","msg":"booting web-bff 4.2.0"}',
        "/app/dist/config.js:31",
        "    throw new Error(`Missing required environment variable ${name}`);",
        "          ^",
        "",
        "Error: Missing required environment variable SESSION_SECRET",
        "    at required (/app/dist/config.js:31:11)",
        "    at Object.<anonymous> (/app/dist/config.js:44:18)",
        "    at Module._compile (node:internal/modules/cjs/loader:1554:14)",
        "Node.js v22.11.0",
    ]
    w.log(pod, trace, trace)
    w.backoff(pod, 70, first="19m")
    w.alert(
        "PodRestartsHigh",
        {"namespace": "storefront", "pod": named(pod), "container": "web-bff"},
        "web-bff restarts over and over",
        "7 restarts in 20 minutes",
        severity="warning",
        expr="increase(kube_pod_container_status_restarts_total[20m]) > 5",
    )
    w.truth(
        "bad_config",
        ("Deployment", "storefront", "web-bff"),
        "SESSION_SECRET",
        ("bad_deploy", ("Deployment", "storefront", "web-bff")),
        mechanism="broken config",
    )
    return w.incident()


def built_for_another_processor() -> Document:
    w = cluster(
        "eks",
        "Graviton nodes joined the cluster and an image built only for amd64 landed there. https://github.com/GoogleCloudPlatform/microservices-demo/issues/2688",
    )
    arm = "ip-10-0-9-88.eu-west-1.compute.internal"
    w.node(arm, arch="arm64", age="5h", labels={"node.kubernetes.io/instance-type": "m7g.large"})
    d = w.deployment(
        "media",
        "thumbnailer",
        "acme/thumbnailer:2.6.0",
        [up(node=w.nodes[0]), up(node=w.nodes[1]), crash(255, 14, age="48m", node=arm, lived="1s")],
        rolled="8d",
    )
    w.herring("restarts", "media")
    w.healthy("media", "acme/uploader:1.15.0", "acme/transcoder:6.0.3")
    w.log(
        d["pods"][2],
        ["exec /usr/local/bin/thumbnailer: exec format error"],
        ["exec /usr/local/bin/thumbnailer: exec format error"],
    )
    w.backoff(d["pods"][2], 210, first="47m")
    w.kube("KubePodCrashLooping", namespace="media", pod=named(d["pods"][2]), container="thumbnailer", began="32m")
    w.truth(
        "bad_deploy",
        ("Deployment", "media", "thumbnailer"),
        "exec format error",
        ("bad_config", ("Deployment", "media", "thumbnailer")),
        ("scheduling", ("Deployment", "media", "thumbnailer")),
        ("image_pull", ("Deployment", "media", "thumbnailer")),
        mechanism="cannot start",
    )
    return w.incident()


def binary_is_not_in_the_image() -> Document:
    w = cluster(
        "aks",
        "The new image moved the entry point; the chart's command still names the old path. https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/",
    )
    text = 'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "/app/bin/server": stat /app/bin/server: no such file or directory: unknown'
    d = w.deployment(
        "hr",
        "timesheets",
        "contoso.azurecr.io/hr/timesheets:9.0.0",
        [crash(128, 9, "StartError", message=text, lived="0s")],
        replicas=2,
        with_={"command": ["/app/bin/server"]},
        old=[{"image": "contoso.azurecr.io/hr/timesheets:8.7.4", "age": "20d", "pods": [up(), up()]}],
        rolled="26m",
        revision=31,
        progress="stuck",
    )
    w.healthy("hr", "contoso.azurecr.io/hr/payslips:4.4.0", "contoso.azurecr.io/hr/directory:2.0.8")
    other = w.deployment(
        "hr",
        "survey",
        "contoso.azurecr.io/hr/survey:1.0.0",
        [unready(age="21d")],
        rolled="21d",
        with_={"readinessProbe": http_probe("/ready", 8080)},
    )
    w.unhealthy(other["pods"][0], "Readiness probe failed: HTTP probe failed with statuscode: 503", 18000, first="21d")
    w.event(d["pods"][0], "Failed", f"Error: {text}", count=10, first="26m")
    w.backoff(d["pods"][0], 100, first="25m")
    w.kube("KubePodCrashLooping", namespace="hr", pod=named(d["pods"][0]), container="timesheets")
    w.truth(
        "bad_deploy",
        ("Deployment", "hr", "timesheets"),
        "/app/bin/server",
        ("bad_config", ("Deployment", "hr", "timesheets")),
        mechanism="cannot start",
        herring="the survey has been unready for three weeks",
    )
    return w.incident()


def root_is_forbidden() -> Document:
    w = cluster(
        "openshift",
        "A pod security context demands a user other than root; the image's user is root. The kubelet refuses to create the container. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
    )
    text = "container has runAsNonRoot and image will run as root"
    cache = container("redis-sidecar", "redis:7.4-alpine", 6379)
    template = {"securityContext": {"runAsNonRoot": True}}
    d = w.deployment(
        "loyalty",
        "points",
        "quay.corp.example.net/loyalty/points:1.12.0",
        [waiting("CreateContainerConfigError", text, at="redis-sidecar") for _ in range(2)],
        sidecars=[cache],
        template=template,
        old=[
            {"image": "quay.corp.example.net/loyalty/points:1.11.3", "age": "18d", "sidecars": [], "template": template}
        ],
        rolled="45m",
        revision=9,
        progress="stuck",
    )
    w.healthy("loyalty", "quay.corp.example.net/loyalty/offers:3.1.1", "quay.corp.example.net/loyalty/mailer:1.0.7")
    for pod in d["pods"]:
        w.event(
            pod,
            "Failed",
            f'Error: {text} (pod: "{named(pod)}_loyalty({pod["metadata"]["uid"]})", container: redis-sidecar)',
            count=200,
            first="45m",
        )
    w.alert(
        "ServiceHasNoReadyEndpoints",
        {"namespace": "loyalty", "service": "points"},
        "points has no ready endpoint",
        severity="page",
        began="40m",
    )
    w.truth(
        "bad_config",
        ("Deployment", "loyalty", "points"),
        "runAsNonRoot",
        ("bad_deploy", ("Deployment", "loyalty", "points")),
        mechanism="cannot start",
    )
    return w.incident()


def data_directory_may_not_be_written() -> Document:
    w = cluster(
        "bare",
        "A chart upgrade dropped fsGroup; the database cannot write into its volume any more. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#set-the-security-context-for-a-pod",
    )
    sts = w.statefulset(
        "iot",
        "mosquitto",
        "eclipse-mosquitto:2.0.20",
        [crash(3, 11, lived="1s", age="37m")],
        claim="data",
        size="5Gi",
        storage="longhorn",
        port=1883,
        template={"securityContext": {"runAsUser": 1883}},
    )
    w.healthy(
        "iot",
        "registry.corp.example.net/iot/bridge:5.5.1",
        "registry.corp.example.net/iot/rules:0.8.2",
        "nodered/node-red:4.0.5",
    )
    lines = [
        "1795521360: mosquitto version 2.0.20 starting",
        "1795521360: Config loaded from /mosquitto/config/mosquitto.conf.",
        "1795521360: Error: Unable to write to /mosquitto/data/mosquitto.db.new: Permission denied",
        "1795521360: Error opening persistent database: Permission denied",
    ]
    w.log(sts["pods"][0], lines, lines)
    w.backoff(sts["pods"][0], 150, first="36m")
    w.alert(
        "MqttBrokerDown",
        {"app": "mosquitto"},
        "MQTT broker does not answer",
        "TCP probe to mosquitto.iot:1883 fails",
        began="33m",
    )
    w.truth(
        "bad_config",
        ("StatefulSet", "iot", "mosquitto"),
        "Permission denied",
        ("bad_deploy", ("StatefulSet", "iot", "mosquitto")),
        mechanism="cannot start",
    )
    return w.incident()


INCIDENTS = (
    catalog_of_the_vendor_is_gone,
    pull_secret_is_missing,
    docker_hub_limits_pulls,
    tag_with_a_slip_of_the_pen,
    operator_has_not_made_the_secret,
    key_was_renamed,
    volume_of_a_config_map_that_is_not_there,
    tls_secret_of_a_stateful_set_is_missing,
    nginx_with_a_broken_config_map,
    environment_variable_is_missing,
    built_for_another_processor,
    binary_is_not_in_the_image,
    root_is_forbidden,
    data_directory_may_not_be_written,
)
