"""Places and resources: quotas, scheduling, volumes, nodes, disks, memory, processors, addresses, traffic."""

from __future__ import annotations

from tests.wild.build import (
    Document,
    cluster,
    crash,
    evicted,
    http_probe,
    many,
    named,
    pending,
    unready,
    up,
    waiting,
)


def namespace_is_at_its_quota() -> Document:
    w = cluster(
        "openshift",
        "A namespace's ResourceQuota is used up by a load test somebody left running; a rollout cannot create its pods. https://kubernetes.io/docs/concepts/policy/resource-quotas/",
    )
    d = w.deployment(
        "team-red",
        "gateway",
        "quay.corp.example.net/red/gateway:5.5.0",
        [],
        replicas=3,
        rolled="24m",
        revision=55,
        old=[{"image": "quay.corp.example.net/red/gateway:5.4.8", "age": "13d", "pods": [up(), up(), up()]}],
        progress="stuck",
    )
    said = f'pods "{named(d["replicaset"])}-kx7wp" is forbidden: exceeded quota: compute, requested: limits.memory=512Mi, used: limits.memory=32Gi, limited: limits.memory=32Gi'
    d["object"]["status"]["conditions"].append(w.condition("ReplicaFailure", "True", "FailedCreate", said, "24m"))
    w.event(
        d["replicaset"],
        "FailedCreate",
        f"Error creating: {said}",
        count=17,
        first="24m",
        source="replicaset-controller",
    )
    w.add(
        "ResourceQuota",
        "compute",
        "team-red",
        spec={"hard": {"limits.memory": "32Gi", "pods": "60"}},
        status={"hard": {"limits.memory": "32Gi", "pods": "60"}, "used": {"limits.memory": "32Gi", "pods": "22"}},
    )
    w.deployment(
        "team-red",
        "locust-worker",
        "locustio/locust:2.32.3",
        [up() for _ in range(12)],
        age="20h",
        rolled="20h",
        revision=1,
    )
    w.healthy("team-red", "quay.corp.example.net/red/orders:2.2.0", "quay.corp.example.net/red/stock:3.0.9")
    w.kube("KubeDeploymentRolloutStuck", namespace="team-red", deployment="gateway")
    w.truth(
        "quota",
        ("Deployment", "team-red", "gateway"),
        "exceeded quota: compute",
        ("quota", ("ResourceQuota", "team-red", "compute")),
        ("quota", ("Namespace", "", "team-red")),
        ("quota", ("Deployment", "team-red", "locust-worker")),
        mechanism="quota",
        elsewhere=True,
    )
    return w.incident()


def jobs_must_name_their_limits() -> Document:
    w = cluster(
        "gke",
        "A ResourceQuota on CPU was introduced; jobs that name no requests may not be created any more. The CronJob looks healthy, only its Jobs have no pods. https://kubernetes.io/docs/concepts/policy/resource-quotas/",
    )
    cron = w.cronjob(
        "etl",
        "import-rates",
        "europe-docker.pkg.dev/acme/etl/rates:31",
        "*/30 * * * *",
        last="30m",
        success="270m",
        with_={"resources": {}},
    )
    job = w.job(
        "etl",
        "import-rates-29402130",
        "europe-docker.pkg.dev/acme/etl/rates:31",
        [],
        age="30m",
        owner=cron,
        with_={"resources": {}},
    )
    said = 'Error creating: pods "import-rates-29402130-9xk2f" is forbidden: failed quota: etl-quota: must specify requests.cpu for: import-rates; requests.memory for: import-rates'
    w.event(job["object"], "FailedCreate", said, count=7, first="30m", source="job-controller")
    w.add(
        "ResourceQuota",
        "etl-quota",
        "etl",
        age="4h",
        spec={"hard": {"requests.cpu": "20", "requests.memory": "64Gi"}},
        status={
            "hard": {"requests.cpu": "20", "requests.memory": "64Gi"},
            "used": {"requests.cpu": "900m", "requests.memory": "2Gi"},
        },
    )
    w.herring("warning", "etl")
    w.healthy(
        "etl",
        "europe-docker.pkg.dev/acme/etl/scheduler-ui:3",
        "europe-docker.pkg.dev/acme/etl/quality:19",
        "europe-docker.pkg.dev/acme/etl/catalog:7",
    )
    w.alert(
        "RatesAreStale",
        {"cronjob": "import-rates", "namespace": "etl"},
        "exchange rates were last imported more than 4 hours ago",
        began="25m",
    )
    w.truth(
        "quota",
        ("Job", "etl", "import-rates-29402130"),
        "must specify requests.cpu",
        ("quota", ("CronJob", "etl", "import-rates")),
        ("quota", ("ResourceQuota", "etl", "etl-quota")),
        ("bad_config", ("ResourceQuota", "etl", "etl-quota")),
        ("bad_config", ("CronJob", "etl", "import-rates")),
        mechanism="quota",
        elsewhere=True,
    )
    return w.incident()


def nodes_are_full() -> Document:
    w = cluster(
        "aks",
        "The node pool is at its maximum; new replicas find no CPU anywhere. https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
    )
    said = "0/4 nodes are available: 1 node(s) had untolerated taint {CriticalAddonsOnly: true}, 3 Insufficient cpu. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod."
    w.node(
        "aks-system-11020304-vmss000000",
        taints=[{"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}],
        cpu="2",
    )
    d = w.deployment(
        "rides",
        "dispatch",
        "contoso.azurecr.io/rides/dispatch:61.2.0",
        [up(), up(), pending(said, age="22m"), pending(said, age="22m")],
        with_={"resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}},
        rolled="4d",
    )
    for pod in d["pods"][2:]:
        w.event(pod, "FailedScheduling", said, count=5, first="22m", source="default-scheduler")
        w.event(
            pod,
            "NotTriggerScaleUp",
            "pod didn't trigger scale-up: 1 max node group size reached",
            kind="Normal",
            count=120,
            first="22m",
            source="cluster-autoscaler",
        )
    w.herring("restarts", "rides")
    w.healthy(
        "rides",
        "contoso.azurecr.io/rides/maps:4.4.0",
        "contoso.azurecr.io/rides/payments:8.1.2",
        "contoso.azurecr.io/rides/eta:0.9.0",
    )
    w.kube("KubePodNotReady", namespace="rides", pod=named(d["pods"][2]))
    w.truth(
        "scheduling",
        ("Deployment", "rides", "dispatch"),
        "Insufficient cpu",
        ("scheduling", ("Pod", "rides", named(d["pods"][2]))),
        mechanism="scheduling",
    )
    return w.incident()


def volume_lies_in_another_zone() -> Document:
    w = cluster(
        "eks",
        "A StatefulSet's volume lies in a zone in which no node is left after the group was scaled down. https://github.com/kubernetes/autoscaler/issues/6000",
        nodes=2,
    )
    said = "0/2 nodes are available: 2 node(s) had volume node affinity conflict. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    sts = w.statefulset(
        "monitoring",
        "prometheus-k8s",
        "quay.io/prometheus/prometheus:v2.55.1",
        [up(), pending(said, age="51m")],
        port=9090,
        key="app.kubernetes.io/name",
        template={"volumes": [{"name": "db", "persistentVolumeClaim": {"claimName": "prometheus-db"}}]},
    )
    for n, zone in enumerate(("eu-west-1b", "eu-west-1a")):
        w.claim("monitoring", f"prometheus-k8s-db-prometheus-k8s-{n}", size="200Gi", zone=zone)
        sts["pods"][n]["spec"]["volumes"] = [
            {"name": "db", "persistentVolumeClaim": {"claimName": f"prometheus-k8s-db-prometheus-k8s-{n}"}}
        ]
    w.event(sts["pods"][1], "FailedScheduling", said, count=12, first="51m", source="default-scheduler")
    w.healthy("monitoring", "grafana/grafana:11.3.0", "quay.io/prometheus/blackbox-exporter:v0.25.0")
    w.healthy("web", "acme/landing:3.0.0")
    w.kube("KubePodNotReady", namespace="monitoring", pod="prometheus-k8s-1", began="36m")
    w.truth(
        "scheduling",
        ("StatefulSet", "monitoring", "prometheus-k8s"),
        "volume node affinity conflict",
        ("scheduling", ("Pod", "monitoring", "prometheus-k8s-1")),
        ("scheduling", ("PersistentVolumeClaim", "monitoring", "prometheus-k8s-db-prometheus-k8s-1")),
        mechanism="scheduling",
    )
    return w.incident()


def storage_class_does_not_exist() -> Document:
    w = cluster(
        "k3s",
        "A chart's values carry the storage class of another cloud; the claim is never provisioned and the pod never scheduled. https://kubernetes.io/docs/concepts/storage/persistent-volumes/",
    )
    said = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    sts = w.statefulset(
        "search",
        "opensearch-data",
        "opensearchproject/opensearch:2.17.1",
        [pending(said, age="1h")],
        replicas=3,
        claim="data",
        size="100Gi",
        storage="premium-rwo",
        claim_phase="Pending",
        port=9200,
        age="1h",
    )
    w.add(
        "StorageClass",
        "local-path",
        provisioner="rancher.io/local-path",
        volumeBindingMode="WaitForFirstConsumer",
        reclaimPolicy="Delete",
    )
    w.event(
        w.find("PersistentVolumeClaim", "data-opensearch-data-0"),
        "ProvisioningFailed",
        'storageclass.storage.k8s.io "premium-rwo" not found',
        count=240,
        first="1h",
        source="persistentvolume-controller",
    )
    w.event(sts["pods"][0], "FailedScheduling", said, count=14, first="1h", source="default-scheduler")
    w.healthy("search", "acme/indexer:1.7.7", "acme/search-api:6.0.0", "opensearchproject/opensearch-dashboards:2.17.1")
    w.kube("KubeStatefulSetReplicasMismatch", namespace="search", statefulset="opensearch-data", began="40m")
    w.truth(
        "bad_config",
        ("StatefulSet", "search", "opensearch-data"),
        "premium-rwo",
        ("scheduling", ("StatefulSet", "search", "opensearch-data")),
        ("bad_config", ("PersistentVolumeClaim", "search", "data-opensearch-data-0")),
        ("scheduling", ("PersistentVolumeClaim", "search", "data-opensearch-data-0")),
        ("bad_config", ("StorageClass", "", "premium-rwo")),
        mechanism="storage",
        elsewhere=True,
    )
    return w.incident()


def volume_is_still_attached_to_a_dead_node() -> Document:
    w = cluster(
        "bare",
        "A node died hard; its pod was rescheduled, but the volume stays attached to the dead node. https://github.com/longhorn/longhorn/issues/5345",
    )
    w.node(
        "worker-9",
        ready="Unknown",
        why="NodeStatusUnknown",
        message="Kubelet stopped posting node status.",
        since="27m",
    )
    volume = {"volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "gitea-shared-storage"}}]}
    d = w.deployment(
        "git",
        "gitea",
        "gitea/gitea:1.22.4-rootless",
        [
            up(node="worker-9", age="30d", pod_ready="False", deleted="21m"),
            waiting("ContainerCreating", age="21m", no_sandbox=True),
        ],
        replicas=1,
        template=volume,
        port=3000,
    )
    w.claim("git", "gitea-shared-storage", storage="longhorn")
    pv = w.objects[-1]["metadata"]["name"]
    w.event(
        d["pods"][1],
        "FailedAttachVolume",
        f'Multi-Attach error for volume "{pv}" Volume is already exclusively attached to one node and can\'t be attached to another',
        count=1,
        first="21m",
        source="attachdetach-controller",
    )
    w.event(
        w.find("Node", "worker-9"),
        "NodeNotReady",
        "Node worker-9 status is now: NodeNotReady",
        kind="Normal",
        first="27m",
        source="node-controller",
    )
    w.statefulset("git", "gitea-postgresql", "postgres:16.4", [up()], claim="data", port=5432)
    w.healthy("git", "woodpeckerci/woodpecker-server:v2.7.3", "registry.corp.example.net/ci/cache:1.0.0")
    w.alert(
        "GitIsDown",
        {"app": "gitea", "namespace": "git"},
        "gitea answers no request",
        "HTTP probe fails for 15 minutes",
        severity="page",
    )
    w.truth(
        "node_down",
        ("Node", "", "worker-9"),
        "Kubelet stopped posting node status",
        ("node_down", ("Deployment", "git", "gitea")),
        ("scheduling", ("Deployment", "git", "gitea")),
        mechanism="storage",
        elsewhere=True,
    )
    return w.incident()


def kubelet_stopped_reporting() -> Document:
    w = cluster(
        "gke",
        "A spot node vanished without notice, and with it a third of a service's replicas. The alert is about the workload. https://kubernetes.io/docs/concepts/architecture/nodes/#condition",
        cluster="prod-eu",
    )
    gone = "gke-prod-spot-pool-77aa0c1e-k2w8"
    w.node(
        gone,
        ready="Unknown",
        why="NodeStatusUnknown",
        message="Kubelet stopped posting node status.",
        since="19m",
        labels={"cloud.google.com/gke-spot": "true"},
    )
    lost = {"node": gone, "pod_ready": "False", "since": "18m"}
    d = w.deployment(
        "ads",
        "bidder",
        "europe-docker.pkg.dev/acme/ads/bidder:4410",
        [up(), up(**lost), up(**lost)],
        rolled="3d",
        with_={"readinessProbe": http_probe("/ready", 8080)},
    )
    w.event(
        w.find("Node", gone),
        "NodeNotReady",
        f"Node {gone} status is now: NodeNotReady",
        kind="Normal",
        first="19m",
        source="node-controller",
    )
    for pod in d["pods"][1:]:
        w.event(pod, "NodeNotReady", "Node is not ready", first="18m", source="node-controller")
    w.herring("rollout", "ads")
    w.healthy(
        "ads",
        "europe-docker.pkg.dev/acme/ads/creatives:99",
        "europe-docker.pkg.dev/acme/ads/pacing:310",
        "europe-docker.pkg.dev/acme/ads/reports:12",
    )
    w.kube("KubeDeploymentReplicasMismatch", namespace="ads", deployment="bidder")
    w.truth(
        "node_down",
        ("Node", "", gone),
        "Kubelet stopped posting node status",
        ("node_down", ("Deployment", "ads", "bidder")),
        mechanism="node",
        elsewhere=True,
    )
    return w.incident()


def container_runtime_hangs() -> Document:
    w = cluster(
        "bare",
        "The container runtime of a node hangs; PLEG is not healthy, the node is not ready. https://github.com/kubernetes/kubernetes/issues/45419",
    )
    w.node(
        "worker-7",
        ready="False",
        why="KubeletNotReady",
        message="PLEG is not healthy: pleg was last seen active 21m18.040734348s ago; threshold is 3m0s",
        since="18m",
    )
    ds = w.daemonset(
        "monitoring",
        "node-exporter",
        "quay.io/prometheus/node-exporter:v1.8.2",
        [up(), up(), up(), up(node="worker-7", pod_ready="False")],
        port=9100,
    )
    w.deployment(
        "bank",
        "statements",
        "registry.corp.example.net/bank/statements:14.0.1",
        [up(), up(node="worker-7", pod_ready="False", since="18m")],
    )
    w.herring("neighbour", "bank")
    w.healthy("bank", "registry.corp.example.net/bank/accounts:14.2.0", "registry.corp.example.net/bank/cards:9.1.1")
    w.event(
        w.find("Node", "worker-7"),
        "NodeNotReady",
        "Node worker-7 status is now: NodeNotReady",
        kind="Normal",
        first="18m",
    )
    w.event(
        ds["object"],
        "SuccessfulCreate",
        "Created pod: node-exporter-xx2lp",
        kind="Normal",
        first="6h",
        source="daemonset-controller",
    )
    w.kube("KubeNodeNotReady", node="worker-7", condition="Ready", status="true")
    w.truth("node_down", ("Node", "", "worker-7"), "PLEG is not healthy", mechanism="node")
    return w.incident()


def disk_pressure_drives_pods_away() -> Document:
    w = cluster(
        "k3s",
        "A node's disk is full of logs and images; the kubelet evicts pods, and new ones are evicted at once. https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
    )
    w.node(
        "k3s-agent-07",
        labels={"store": "berlin-3"},
        pressure={"DiskPressure": ("KubeletHasDiskPressure", "kubelet has disk pressure")},
        since="35m",
        taints=[{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": w.ago("35m")}],
    )
    said = "The node was low on resource: ephemeral-storage. Threshold quantity: 2146223340, available: 1181292Ki. Container kiosk was using 52676Ki, request is 0, has larger consumption of ephemeral-storage. "
    d = w.deployment(
        "stores",
        "kiosk",
        "ghcr.io/lumen/kiosk:3.3.0",
        [
            evicted(said, node="k3s-agent-07", age="3h"),
            evicted(said, node="k3s-agent-07", age="2h"),
            pending(
                "0/4 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }, 3 node(s) didn't match Pod's node affinity/selector.",
                age="34m",
            ),
        ],
        replicas=1,
        template={"nodeSelector": {"store": "berlin-3"}},
    )
    w.event(d["pods"][1], "Evicted", said, first="35m")
    w.event(
        w.find("Node", "k3s-agent-07"),
        "EvictionThresholdMet",
        "Attempting to reclaim ephemeral-storage",
        count=30,
        first="36m",
    )
    w.event(
        w.find("Node", "k3s-agent-07"),
        "FreeDiskSpaceFailed",
        "Failed to garbage collect required amount of images. Attempted to free 1413085593 bytes, but only found 0 bytes eligible to free.",
        count=7,
        first="34m",
    )
    w.herring("warning", "stores")
    w.healthy("stores", "ghcr.io/lumen/till:8.0.0", "ghcr.io/lumen/labels:1.2.0", "ghcr.io/lumen/sync:2.7.1")
    w.kube("KubeDeploymentReplicasMismatch", namespace="stores", deployment="kiosk")
    w.truth(
        "disk_full",
        ("Node", "", "k3s-agent-07"),
        "low on resource: ephemeral-storage",
        ("disk_full", ("Deployment", "stores", "kiosk")),
        mechanism="disk",
        elsewhere=True,
    )
    return w.incident()


def broker_volume_is_full() -> Document:
    w = cluster(
        "eks",
        "A Kafka broker's volume ran full after a topic's retention was raised. https://strimzi.io/docs/operators/latest/overview",
    )
    sts = w.statefulset(
        "streaming",
        "events-kafka",
        "quay.io/strimzi/kafka:0.44.0-kafka-3.8.0",
        [up(), crash(1, 14, lived="9s"), up()],
        claim="data",
        size="500Gi",
        key="strimzi.io/name",
        port=9092,
    )
    lines = [
        many(
            20,
            "2026-11-24 11:56:1{n},044 INFO [LogLoader partition=clicks-{n}, dir=/data/kafka-log1] Loading producer state till offset 88213 with message format version 2 (kafka.log.UnifiedLog$) [main]",
        ),
        "2026-11-24 11:56:19,311 ERROR Error while writing to checkpoint file /data/kafka-log1/recovery-point-offset-checkpoint (org.apache.kafka.storage.internals.log.LogDirFailureChannel) [main]",
        "java.io.IOException: No space left on device",
        "2026-11-24 11:56:19,400 ERROR Shutdown broker because all log dirs in /data/kafka-log1 have failed (kafka.log.LogManager) [LogDirFailureHandler]",
    ]
    w.log(sts["pods"][1], lines, lines)
    w.backoff(sts["pods"][1], 180, first="44m")
    w.herring("restarts", "streaming")
    w.healthy("streaming", "quay.io/strimzi/operator:0.44.0", "acme/click-collector:9.0.3", "acme/sessionizer:4.1.1")
    w.kube(
        "KubePersistentVolumeFillingUp",
        namespace="streaming",
        persistentvolumeclaim="data-events-kafka-1",
        severity="critical",
        began="48m",
    )
    w.truth(
        "disk_full",
        ("StatefulSet", "streaming", "events-kafka"),
        "No space left on device",
        ("disk_full", ("PersistentVolumeClaim", "streaming", "data-events-kafka-1")),
        ("disk_full", ("Pod", "streaming", "events-kafka-1")),
        mechanism="disk",
    )
    return w.incident()


def limit_was_lowered_too_far() -> Document:
    w = cluster(
        "gke",
        "A cost saving change halved a JVM's memory limit, the heap setting stayed. https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
    )
    small = {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}}
    large = {"resources": {"requests": {"cpu": "500m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}}}
    env = {"JAVA_TOOL_OPTIONS": "-Xms2g -Xmx2g"}
    d = w.deployment(
        "risk",
        "portfolio",
        "europe-docker.pkg.dev/acme/risk/portfolio:7.7.1",
        [crash(137, 9, "OOMKilled", lived="14s"), crash(137, 9, "OOMKilled", lived="15s")],
        env=env,
        with_=small,
        old=[{"image": "europe-docker.pkg.dev/acme/risk/portfolio:7.7.1", "with_": large, "age": "29d"}],
        rolled="33m",
        revision=22,
    )
    for pod in d["pods"]:
        w.log(
            pod,
            [
                "Picked up JAVA_TOOL_OPTIONS: -Xms2g -Xmx2g",
                "11:56:01.002 [main] INFO  c.a.risk.Portfolio - loading 1,204,331 positions",
            ],
            [
                "Picked up JAVA_TOOL_OPTIONS: -Xms2g -Xmx2g",
                "11:53:01.002 [main] INFO  c.a.risk.Portfolio - loading 1,204,331 positions",
            ],
        )
        w.backoff(pod, 120, first="30m")
    w.healthy("risk", "europe-docker.pkg.dev/acme/risk/limits:3.2.2", "europe-docker.pkg.dev/acme/risk/curves:1.0.9")
    w.kube("KubePodCrashLooping", namespace="risk", pod=named(d["pods"][0]), container="portfolio")
    w.truth(
        "bad_config",
        ("Deployment", "risk", "portfolio"),
        "OOMKilled",
        ("bad_deploy", ("Deployment", "risk", "portfolio")),
        ("quota", ("Deployment", "risk", "portfolio")),
        ("memory_leak", ("Deployment", "risk", "portfolio")),
        mechanism="memory",
    )
    return w.incident()


def process_grows_until_it_is_killed() -> Document:
    w = cluster(
        "aks",
        "A Node.js process grows for a day, is killed and starts again, and so since weeks; no release since. https://nodejs.org/en/learn/diagnostics/memory/understanding-and-tuning-memory",
    )
    d = w.deployment(
        "chat",
        "presence",
        "contoso.azurecr.io/chat/presence:3.19.0",
        [
            up(17, last="4m", code=137, reason="OOMKilled", lived="26h", age="21d"),
            up(16, last="9h", code=137, reason="OOMKilled", lived="27h", age="21d"),
            up(17, last="3h", code=137, reason="OOMKilled", lived="25h", age="21d"),
        ],
        rolled="21d",
        port=3000,
    )
    w.log(
        d["pods"][0],
        [many(15, '{"level":30,"msg":"heartbeat","rss_mb":18{n},"sockets":210{n}}')],
        [
            *[many(1, f'{{"level":30,"msg":"heartbeat","rss_mb":{mb},"sockets":2107}}') for mb in range(300, 512, 7)],
            '{"level":40,"msg":"MaxListenersExceededWarning: Possible EventEmitter memory leak detected. 4011 presence listeners added to [Room]"}',
        ],
    )
    w.healthy(
        "chat",
        "contoso.azurecr.io/chat/rooms:3.20.1",
        "contoso.azurecr.io/chat/history:3.18.0",
        "contoso.azurecr.io/chat/push:1.1.1",
    )
    w.scaled("rooms", "up", "from 1 to 2", first="55m")
    w.alert(
        "ContainerOOMKilled",
        {"namespace": "chat", "pod": named(d["pods"][0]), "container": "presence"},
        "presence was killed for memory",
        severity="warning",
        began="3m",
        expr='increase(kube_pod_container_status_restarts_total[10m]) > 0 and on(pod) kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1',
    )
    w.truth(
        "memory_leak",
        ("Deployment", "chat", "presence"),
        "memory leak detected",
        mechanism="memory",
        herring="rooms was rolled out an hour ago",
    )
    return w.incident()


def addresses_of_the_subnet_are_used_up() -> Document:
    w = cluster(
        "eks",
        "The subnet has no free address; the CNI plugin cannot give one to new pods. https://github.com/aws/amazon-vpc-cni-k8s/issues/1791",
    )
    d = w.deployment(
        "graph",
        "resolver",
        "acme/resolver:20.1.0",
        [
            up(),
            up(),
            waiting("ContainerCreating", age="23m", no_sandbox=True),
            waiting("ContainerCreating", age="23m", no_sandbox=True),
        ],
        rolled="9d",
    )
    for pod in d["pods"][2:]:
        w.event(
            pod,
            "FailedCreatePodSandBox",
            '(combined from similar events): Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "2585244756197a04982514cc97947f5b7f702492df9776871fa3d7d3b3cba718": plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
            count=96,
            first="23m",
        )
    w.daemonset(
        "kube-system",
        "aws-node",
        "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.19.0",
        [up(), up(), up()],
        port=61678,
    )
    w.hpa(
        "graph",
        "resolver",
        "resolver",
        2,
        10,
        4,
        4,
        [
            w.condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"),
            w.condition(
                "ScalingActive",
                "True",
                "ValidMetricFound",
                "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
            ),
        ],
        value=68,
    )
    w.healthy("graph", "acme/subgraph-users:4.0.0", "acme/subgraph-orders:4.1.0", "acme/schema-registry:1.8.2")
    w.kube("KubePodNotReady", namespace="graph", pod=named(d["pods"][2]))
    w.truth(
        "network",
        ("Deployment", "graph", "resolver"),
        "failed to assign an IP address to container",
        ("quota", ("Deployment", "graph", "resolver")),
        ("network", ("DaemonSet", "kube-system", "aws-node")),
        ("network", ("Pod", "graph", named(d["pods"][2]))),
        ("quota", ("DaemonSet", "kube-system", "aws-node")),
        mechanism="cni",
    )
    return w.incident()


def network_agent_of_a_node_is_broken() -> Document:
    w = cluster(
        "bare",
        "calico-node does not become ready on one node; every pod that is placed there waits for its network. https://docs.tigera.io/calico/latest/networking/ipam/ip-autodetection",
    )
    ill = "worker-3"
    cni = w.daemonset(
        "kube-system",
        "calico-node",
        "docker.io/calico/node:v3.28.2",
        [up(), up(), crash(1, 21, lived="40s", node=ill, last="1m")],
        port=9099,
    )
    lines = [
        many(8, "2026-11-24 11:55:0{n}.101 [INFO][9] startup/startup.go 104: Skipping datastore connection test"),
        "2026-11-24 11:55:10.220 [ERROR][9] startup/autodetection_methods.go 128: Unable to auto-detect any valid IPv4 address on interface regexp ens192",
        "2026-11-24 11:55:10.221 [WARNING][9] startup/startup.go 509: Terminating",
        "Calico node failed to start",
    ]
    w.log(cni["pods"][2], lines, lines)
    w.backoff(cni["pods"][2], 300, first="70m")
    d = w.deployment(
        "mes",
        "line-control",
        "registry.corp.example.net/mes/line-control:2.9.0",
        [up(node="worker-1"), waiting("ContainerCreating", age="44m", node=ill, no_sandbox=True)],
    )
    w.event(
        d["pods"][1],
        "FailedCreatePodSandBox",
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "9f0b2c": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: check that the calico/node container is running and has mounted /var/lib/calico/',
        count=190,
        first="44m",
    )
    w.healthy("mes", "registry.corp.example.net/mes/terminal:4.4.4", "registry.corp.example.net/mes/historian:7.0.0")
    w.kube(
        "KubeContainerWaiting",
        namespace="mes",
        pod=named(d["pods"][1]),
        container="line-control",
        reason="ContainerCreating",
        began="20m",
    )
    w.truth(
        "network",
        ("DaemonSet", "kube-system", "calico-node"),
        "Unable to auto-detect any valid IPv4 address",
        ("bad_config", ("DaemonSet", "kube-system", "calico-node")),
        ("network", ("Deployment", "mes", "line-control")),
        ("network", ("Pod", "kube-system", named(cni["pods"][2]))),
        ("network", ("Node", "", ill)),
        ("dependency_down", ("DaemonSet", "kube-system", "calico-node")),
        mechanism="cni",
        elsewhere=True,
    )
    return w.incident()


def everybody_comes_at_once() -> Document:
    w = cluster(
        "gke",
        "A television spot brings twenty times the usual traffic; the autoscaler is at its maximum. https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
    )
    d = w.deployment(
        "tickets",
        "waiting-room",
        "europe-docker.pkg.dev/acme/tickets/waiting-room:77",
        [
            up(age="25m"),
            up(age="25m"),
            up(),
            up(),
            up(age="21m"),
            unready(age="21m"),
            up(age="20m"),
            unready(age="20m"),
        ],
        with_={"readinessProbe": http_probe("/ready", 8080)},
        rolled="17d",
    )
    w.hpa(
        "tickets",
        "waiting-room",
        "waiting-room",
        2,
        8,
        8,
        8,
        [
            w.condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"),
            w.condition(
                "ScalingActive",
                "True",
                "ValidMetricFound",
                "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
            ),
            w.condition(
                "ScalingLimited",
                "True",
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
                "20m",
            ),
        ],
        value=312,
    )
    w.event(
        w.find("HorizontalPodAutoscaler", "waiting-room"),
        "SuccessfulRescale",
        "New size: 8; reason: cpu resource utilization (percentage of request) above target",
        kind="Normal",
        first="21m",
        source="horizontal-pod-autoscaler",
    )
    w.event(
        w.find("HorizontalPodAutoscaler", "waiting-room"),
        "SuccessfulRescale",
        "New size: 4; reason: cpu resource utilization (percentage of request) above target",
        kind="Normal",
        first="25m",
        source="horizontal-pod-autoscaler",
    )
    w.log(
        d["pods"][0],
        [
            many(150, '10.8.0.1 - - [24/Nov/2026:11:59:{n} +0000] "GET /queue/concert-2027 HTTP/1.1" 200 512 0.91'),
            many(20, 'level=warn msg="request queue is full, shedding load" inflight=2000 rps=18{n}'),
        ],
    )
    w.healthy(
        "tickets",
        "europe-docker.pkg.dev/acme/tickets/seats:41",
        "europe-docker.pkg.dev/acme/tickets/orders:63",
        "europe-docker.pkg.dev/acme/tickets/pay:29",
    )
    w.kube("KubeHpaMaxedOut", namespace="tickets", horizontalpodautoscaler="waiting-room")
    w.truth(
        "traffic_surge",
        ("Deployment", "tickets", "waiting-room"),
        "the desired replica count is more than the maximum replica count",
        ("traffic_surge", ("HorizontalPodAutoscaler", "tickets", "waiting-room")),
        mechanism="load",
    )
    return w.incident()


def autoscaler_sees_no_metrics() -> Document:
    w = cluster(
        "k3s",
        "metrics-server is down after its kubelet certificates were replaced; autoscalers know nothing and do not scale. https://github.com/kubernetes-sigs/metrics-server/issues/1641",
    )
    lines = [
        many(
            40,
            'E1124 11:5{n}:10.118200       1 scraper.go:149] "Failed to scrape node" err="Get \\"https://10.0.1.17:10250/metrics/resource\\": tls: failed to verify certificate: x509: cannot validate certificate for 10.0.1.17 because it doesn\'t contain any IP SANs" node="k3s-agent-01"',
        ),
        'I1124 11:56:01.118201       1 server.go:191] "Failed probe" probe="metric-storage-ready" err="no metrics to serve"',
    ]
    ms = w.deployment(
        "kube-system",
        "metrics-server",
        "registry.k8s.io/metrics-server/metrics-server:v0.7.2",
        [unready(age="82m", since="82m")],
        key="k8s-app",
        port=10250,
        rolled="82m",
    )
    w.log(ms["pods"][0], lines)
    w.unhealthy(ms["pods"][0], "Readiness probe failed: HTTP probe failed with statuscode: 500", 480, first="80m")
    d = w.deployment("video", "packager", "ghcr.io/lumen/packager:5.2.2", [up(), up()])
    said = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)"
    hpa = w.hpa(
        "video",
        "packager",
        "packager",
        2,
        12,
        2,
        2,
        [
            w.condition(
                "AbleToScale",
                "True",
                "SucceededGetScale",
                "the HPA controller was able to get the target's current scale",
            ),
            w.condition("ScalingActive", "False", "FailedGetResourceMetric", said, "79m"),
        ],
        value=None,
    )
    w.event(
        hpa,
        "FailedGetResourceMetric",
        said.split(": ", 1)[1],
        count=310,
        first="79m",
        source="horizontal-pod-autoscaler",
    )
    w.log(d["pods"][0], [many(30, "WARN queue of segments is {n}00 long")])
    w.herring("rollout", "video")
    w.healthy("video", "ghcr.io/lumen/origin:8.8.0", "ghcr.io/lumen/drm:2.2.1")
    w.alert(
        "HPAScalingInactive",
        {"namespace": "video", "horizontalpodautoscaler": "packager"},
        "The autoscaler of packager does not work",
        severity="warning",
        began="60m",
        expr='kube_horizontalpodautoscaler_status_condition{condition="ScalingActive",status="false"} == 1',
    )
    w.truth(
        "dependency_down",
        ("Deployment", "kube-system", "metrics-server"),
        "cannot validate certificate",
        ("bad_config", ("Deployment", "kube-system", "metrics-server")),
        ("monitoring_gap", ("Deployment", "kube-system", "metrics-server")),
        ("certificate_expiry", ("Deployment", "kube-system", "metrics-server")),
        ("monitoring_gap", ("HorizontalPodAutoscaler", "video", "packager")),
        mechanism="load",
        elsewhere=True,
    )
    return w.incident()


def limit_of_the_processor_is_too_tight() -> Document:
    w = cluster(
        "openshift",
        "A release lowered the CPU limit; the container is throttled in most periods, and probes time out. https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
    )
    tight = {
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "200m", "memory": "1Gi"}},
        "livenessProbe": http_probe("/live", 8080),
    }
    wide = {
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        "livenessProbe": http_probe("/live", 8080),
    }
    d = w.deployment(
        "geo",
        "tiles",
        "quay.corp.example.net/geo/tiles:9.4.0",
        [up(3, last="11m", code=137, lived="6m", age="57m"), up(4, last="6m", code=137, lived="5m", age="57m")],
        with_=tight,
        old=[{"image": "quay.corp.example.net/geo/tiles:9.4.0", "with_": wide, "age": "26d"}],
        rolled="57m",
        revision=16,
    )
    for pod in d["pods"]:
        w.unhealthy(
            pod,
            'Liveness probe failed: Get "http://10.128.2.19:8080/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            31,
            first="50m",
        )
        w.event(
            pod,
            "Killing",
            "Container tiles failed liveness probe, will be restarted",
            kind="Normal",
            count=4,
            first="48m",
        )
        w.log(pod, [many(30, "tile 14/8801/53{n} rendered in 4{n}12 ms")])
    w.healthy(
        "geo",
        "quay.corp.example.net/geo/search:3.0.0",
        "quay.corp.example.net/geo/routes:6.6.0",
        "quay.corp.example.net/geo/styles:1.0.0",
    )
    w.kube(
        "CPUThrottlingHigh",
        namespace="geo",
        pod=named(d["pods"][0]),
        container="tiles",
        value="88.1%",
        severity="info",
        began="40m",
    )
    w.truth(
        "cpu_contention",
        ("Deployment", "geo", "tiles"),
        "Liveness probe failed",
        ("bad_config", ("Deployment", "geo", "tiles")),
        ("bad_deploy", ("Deployment", "geo", "tiles")),
        mechanism="processor",
    )
    return w.incident()


def neighbour_takes_the_whole_node() -> Document:
    w = cluster(
        "bare",
        "A batch pod without limits takes all processors of a node; its neighbours' probes time out. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/",
    )
    w.node("worker-8", pressure={}, cpu="8", labels={"pool": "mixed"})
    batch = w.job(
        "research",
        "monte-carlo-77",
        "registry.corp.example.net/research/mc:0.3",
        [up(node="worker-8", age="34m")],
        age="34m",
        with_={"resources": {}, "args": ["--threads=64", "--paths=100000000"]},
    )
    w.log(
        batch["pods"][0],
        [
            "monte-carlo: using 64 threads on 8 processors",
            many(50, "monte-carlo: block {n} of 4000, load average 71.{n}"),
        ],
    )
    d = w.deployment(
        "portal",
        "citizen-web",
        "registry.corp.example.net/portal/web:6.1.0",
        [up(), unready(4, node="worker-8", last="5m", code=137, lived="4m")],
        with_={
            "readinessProbe": http_probe("/ready", 8080),
            "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
        },
    )
    e = w.deployment(
        "portal",
        "forms",
        "registry.corp.example.net/portal/forms:2.2.2",
        [unready(2, node="worker-8", last="9m", code=137, lived="5m"), up()],
    )
    for one in (d["pods"][1], e["pods"][0]):
        w.unhealthy(
            one,
            'Readiness probe failed: Get "http://10.244.3.7:8080/ready": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            120,
            first="31m",
        )
    w.herring("rollout", "portal")
    w.healthy("portal", "registry.corp.example.net/portal/login:3.3.0", "registry.corp.example.net/portal/pdf:1.4.0")
    w.kube("KubePodNotReady", namespace="portal", pod=named(d["pods"][1]))
    w.truth(
        "cpu_contention",
        ("Node", "", "worker-8"),
        "64 threads on 8 processors",
        ("cpu_contention", ("Job", "research", "monte-carlo-77")),
        ("cpu_contention", ("Deployment", "portal", "citizen-web")),
        ("cpu_contention", ("Pod", "research", named(batch["pods"][0]))),
        mechanism="processor",
        elsewhere=True,
    )
    return w.incident()


INCIDENTS = (
    namespace_is_at_its_quota,
    jobs_must_name_their_limits,
    nodes_are_full,
    volume_lies_in_another_zone,
    storage_class_does_not_exist,
    volume_is_still_attached_to_a_dead_node,
    kubelet_stopped_reporting,
    container_runtime_hangs,
    disk_pressure_drives_pods_away,
    broker_volume_is_full,
    limit_was_lowered_too_far,
    process_grows_until_it_is_killed,
    addresses_of_the_subnet_are_used_up,
    network_agent_of_a_node_is_broken,
    everybody_comes_at_once,
    autoscaler_sees_no_metrics,
    limit_of_the_processor_is_too_tight,
    neighbour_takes_the_whole_node,
)
