"""Alerts after which nothing is wrong, or too little is to be seen for an answer."""

from __future__ import annotations

from tests.wild.build import Document, cluster, crash, ended, http_probe, many, named, up, waiting


def node_was_rebooted_and_all_is_well() -> Document:
    w = cluster(
        "bare",
        "A node was rebooted after a kernel update; the alert came late, everything runs again. https://kubernetes.io/docs/concepts/architecture/nodes/",
    )
    node = w.node("worker-5", since="9m")
    d = w.deployment(
        "intranet",
        "directory",
        "registry.corp.example.net/intranet/directory:4.2.0",
        [up(1, last="8m", code=255, reason="Unknown", node="worker-5", since="8m"), up()],
        with_={"readinessProbe": http_probe("/ready", 8080)},
    )
    w.event(
        node, "Rebooted", "Node worker-5 has been rebooted, boot id: 5b6b8a4f-4d3e-4f9e-8b55-6a3f0f0d1c11", first="10m"
    )
    w.event(node, "NodeReady", "Node worker-5 status is now: NodeReady", kind="Normal", first="9m")
    w.event(
        node,
        "NodeNotReady",
        "Node worker-5 status is now: NodeNotReady",
        kind="Normal",
        first="27m",
        source="node-controller",
    )
    w.log(d["pods"][0], [many(20, "GET /people?page={n} 200")])
    w.healthy(
        "intranet", "registry.corp.example.net/intranet/news:2.0.0", "registry.corp.example.net/intranet/canteen:1.0.3"
    )
    w.kube("KubeNodeNotReady", node="worker-5", condition="Ready", status="true", began="11m")
    w.truth("none", ("Node", "", "worker-5"), "has been rebooted", mechanism="recovered")
    return w.incident()


def spot_node_was_replaced() -> Document:
    w = cluster(
        "eks",
        "A spot instance was reclaimed, its pods were started elsewhere within minutes and are ready. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html",
    )
    d = w.deployment(
        "catalog",
        "catalog-api",
        "acme/catalog-api:8.1.0",
        [up(age="9d"), up(age="13m", since="12m"), up(age="13m", since="12m")],
        rolled="9d",
        with_={"readinessProbe": http_probe("/ready", 8080)},
    )
    node = w.find("Node", w.nodes[2])
    node["metadata"]["creationTimestamp"] = w.ago("14m")
    for one in node["status"]["conditions"]:
        one["lastTransitionTime"] = w.ago("14m")
    said = f"Node {named(node)} event: Registered Node {named(node)} in Controller"
    w.event(node, "RegisteredNode", said, kind="Normal", first="14m", source="node-controller")
    for pod in d["pods"][1:]:
        w.event(
            pod,
            "Scheduled",
            f"Successfully assigned catalog/{named(pod)} to {pod['spec']['nodeName']}",
            kind="Normal",
            first="13m",
            source="default-scheduler",
        )
        w.event(
            pod,
            "Unhealthy",
            'Readiness probe failed: Get "http://10.0.3.9:8080/ready": dial tcp 10.0.3.9:8080: connect: connection refused',
            count=2,
            first="13m",
            last="12m",
        )
    w.healthy("catalog", "acme/images:2.2.0", "acme/facets:1.9.1", "acme/prices:4.0.0")
    w.kube("KubeDeploymentReplicasMismatch", namespace="catalog", deployment="catalog-api", began="12m")
    w.truth("none", ("Deployment", "catalog", "catalog-api"), "", mechanism="recovered")
    return w.incident()


def pod_of_a_job_has_completed() -> Document:
    w = cluster(
        "gke",
        "A home-made rule does not leave out pods that have completed; the Job ended well. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase",
    )
    cron = w.cronjob(
        "crm", "sync-contacts", "europe-docker.pkg.dev/acme/crm/sync:12", "*/20 * * * *", last="20m", success="18m"
    )
    job = w.job(
        "crm",
        "sync-contacts-29402140",
        "europe-docker.pkg.dev/acme/crm/sync:12",
        [ended(0, age="20m", finished="18m")],
        age="20m",
        owner=cron,
        done=True,
    )
    w.log(job["pods"][0], [many(30, "INFO synced page {n}"), "INFO done, 2981 contacts, 0 errors"])
    w.event(job["object"], "Completed", "Job completed", kind="Normal", first="18m", source="job-controller")
    w.herring("restarts", "crm")
    w.healthy("crm", "europe-docker.pkg.dev/acme/crm/api:77", "europe-docker.pkg.dev/acme/crm/ui:80")
    w.alert(
        "PodNotReady",
        {"namespace": "crm", "pod": named(job["pods"][0])},
        "A pod is not ready for 15 minutes",
        severity="warning",
        expr='kube_pod_status_ready{condition="true"} == 0',
    )
    w.truth("none", ("Pod", "crm", named(job["pods"][0])), "done, 2981 contacts, 0 errors", mechanism="completed")
    return w.incident()


def job_failed_once_and_ran_since() -> Document:
    w = cluster(
        "aks",
        "A run of a CronJob failed hours ago when its node was taken away; two later runs were fine, the failed Job object stays. https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubejobfailed",
    )
    cron = w.cronjob(
        "reporting", "hourly-kpi", "contoso.azurecr.io/reporting/kpi:3.0.0", "0 * * * *", last="0h", success="1h"
    )
    w.job(
        "reporting",
        "hourly-kpi-29401980",
        "contoso.azurecr.io/reporting/kpi:3.0.0",
        [],
        age="3h",
        owner=cron,
        failed=("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        since="178m",
    )
    for n, age in ((29402040, "2h"), (29402100, "1h")):
        job = w.job(
            "reporting",
            f"hourly-kpi-{n}",
            "contoso.azurecr.io/reporting/kpi:3.0.0",
            [ended(0, age=age, finished=f"{int(age[0]) * 60 - 4}m")],
            age=age,
            owner=cron,
            done=True,
        )
        w.log(job["pods"][0], [many(12, "kpi {n} computed"), "all kpis written"])
    w.healthy(
        "reporting",
        "contoso.azurecr.io/reporting/ui:9.0.0",
        "contoso.azurecr.io/reporting/cube:2.1.0",
        "contoso.azurecr.io/reporting/export:1.0.0",
    )
    w.kube("KubeJobFailed", namespace="reporting", job_name="hourly-kpi-29401980", began="160m")
    w.truth(
        "none",
        ("Job", "reporting", "hourly-kpi-29401980"),
        "",
        ("unknown", ("Job", "reporting", "hourly-kpi-29401980")),
        ("none", ("CronJob", "reporting", "hourly-kpi")),
        mechanism="completed",
    )
    return w.incident()


def rollout_is_on_its_way() -> Document:
    w = cluster(
        "k3s",
        "An impatient rule fires in the middle of an ordinary rollout. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment",
    )
    image = "ghcr.io/lumen/timeline"
    d = w.deployment(
        "social",
        "timeline",
        f"{image}:5.1.0",
        [
            up(age="2m", since="1m"),
            up(age="100s", since="50s"),
            waiting("ContainerCreating", age="12s", no_sandbox=True),
        ],
        replicas=6,
        old=[{"image": f"{image}:5.0.9", "age": "8d", "pods": [up(), up(), up()]}],
        rolled="2m",
        revision=51,
        progress="moving",
    )
    w.event(
        d["object"],
        "ScalingReplicaSet",
        f"Scaled up replica set {named(d['replicaset'])} from 2 to 3",
        kind="Normal",
        first="12s",
        source="deployment-controller",
    )
    w.event(d["pods"][2], "Pulling", f'Pulling image "{image}:5.1.0"', kind="Normal", first="10s")
    w.log(d["pods"][0], ["timeline 5.1.0 listening on :8080", many(15, "GET /v2/home 200 1{n}ms")])
    w.healthy("social", "ghcr.io/lumen/profiles:3.3.0", "ghcr.io/lumen/follows:2.0.0", "ghcr.io/lumen/media:1.4.1")
    w.alert(
        "ReplicasMissing",
        {"namespace": "social", "deployment": "timeline"},
        "timeline has fewer replicas than wanted",
        severity="warning",
        began="90s",
        expr="kube_deployment_status_replicas_unavailable > 0",
    )
    w.truth("none", ("Deployment", "social", "timeline"), "is progressing", mechanism="rollout")
    return w.incident()


def node_is_drained_for_maintenance() -> Document:
    w = cluster(
        "openshift",
        "A node is drained for an update by the machine config operator; all pods that were there run elsewhere. https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
    )
    node = w.node(
        "ocp4-compute-6.corp.example.net",
        unschedulable=True,
        taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": w.ago("14m")}],
    )
    node["metadata"]["annotations"] = {
        "machineconfiguration.openshift.io/state": "Working",
        "machineconfiguration.openshift.io/reason": "",
    }
    w.event(
        node,
        "NodeNotSchedulable",
        "Node ocp4-compute-6.corp.example.net status is now: NodeNotSchedulable",
        kind="Normal",
        first="14m",
    )
    w.event(
        node, "Drain", "Draining node to update config.", kind="Normal", first="14m", source="machineconfigcontroller"
    )
    w.deployment(
        "tax",
        "forms-engine",
        "quay.corp.example.net/tax/forms-engine:21.0.0",
        [up(age="12m", since="11m"), up(age="30d"), up(age="12m", since="11m")],
        rolled="30d",
    )
    w.healthy("tax", "quay.corp.example.net/tax/archive:3.0.0", "quay.corp.example.net/tax/login:8.8.0")
    w.alert(
        "NodeUnschedulable",
        {"node": "ocp4-compute-6.corp.example.net"},
        "A node takes no pods",
        severity="info",
        began="13m",
        expr="kube_node_spec_unschedulable == 1",
    )
    w.truth(
        "none", ("Node", "", "ocp4-compute-6.corp.example.net"), "Draining node to update config", mechanism="rollout"
    )
    return w.incident()


def warning_of_an_hour_ago() -> Document:
    w = cluster(
        "eks",
        "An event exporter's rule fires on a FailedScheduling of half an hour ago; the autoscaler brought a node and the pod runs. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/",
    )
    d = w.deployment(
        "encoders",
        "clip-encoder",
        "acme/clip-encoder:3.0.0",
        [up(age="36m", since="33m"), up(age="6d"), up(age="6d")],
        rolled="6d",
    )
    pod = d["pods"][0]
    w.event(
        pod,
        "FailedScheduling",
        "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
        count=2,
        first="36m",
        last="35m",
        source="default-scheduler",
    )
    w.event(
        pod,
        "TriggeredScaleUp",
        "pod triggered scale-up: [{eks-workers-a6c1 2->3 (max: 6)}]",
        kind="Normal",
        first="36m",
        source="cluster-autoscaler",
    )
    w.event(
        pod,
        "Scheduled",
        f"Successfully assigned encoders/{named(pod)} to {pod['spec']['nodeName']}",
        kind="Normal",
        first="34m",
        source="default-scheduler",
    )
    w.healthy("encoders", "acme/clip-store:1.0.0", "acme/clip-index:2.2.0", "acme/webhooks:0.4.0")
    w.alert(
        "KubernetesWarningEvent",
        {"namespace": "encoders", "kind": "Pod", "name": named(pod), "reason": "FailedScheduling"},
        "Warning event FailedScheduling",
        severity="warning",
        began="35m",
    )
    w.truth("none", ("Pod", "encoders", named(pod)), "", mechanism="old event")
    return w.incident()


def autoscaler_went_down_for_the_night() -> Document:
    w = cluster(
        "gke",
        "Traffic falls in the evening, the autoscaler takes replicas away, and a rule on the number of pods fires. https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
        now="2026-11-24T22:30:00Z",
    )
    w.deployment("shop", "frontend", "europe-docker.pkg.dev/acme/shop/frontend:301", [up(), up(), up()], rolled="5d")
    hpa = w.hpa(
        "shop",
        "frontend",
        "frontend",
        3,
        20,
        3,
        3,
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
                "TooFewReplicas",
                "the desired replica count is less than the minimum replica count",
                "25m",
            ),
        ],
        value=22,
    )
    w.event(
        hpa,
        "SuccessfulRescale",
        "New size: 3; reason: All metrics below target",
        kind="Normal",
        first="25m",
        source="horizontal-pod-autoscaler",
    )
    w.event(
        hpa,
        "SuccessfulRescale",
        "New size: 7; reason: All metrics below target",
        kind="Normal",
        first="52m",
        source="horizontal-pod-autoscaler",
    )
    w.herring("warning", "shop")
    w.healthy("shop", "europe-docker.pkg.dev/acme/shop/basket:88", "europe-docker.pkg.dev/acme/shop/search:120")
    w.alert(
        "PodCountDropped",
        {"app": "frontend", "namespace": "shop"},
        "frontend has less than half of the pods of an hour ago",
        severity="warning",
        began="24m",
    )
    w.truth(
        "none",
        ("Deployment", "shop", "frontend"),
        "All metrics below target",
        ("none", ("HorizontalPodAutoscaler", "shop", "frontend")),
        mechanism="old event",
    )
    return w.incident()


def it_ends_without_a_word() -> Document:
    w = cluster(
        "bare",
        "A container ends with code 1 and writes nothing, no change is near: what is there does not say why. https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/",
    )
    d = w.deployment(
        "scada",
        "opc-bridge",
        "registry.corp.example.net/scada/opc-bridge:1.7.2",
        [crash(1, 10, lived="22s")],
        rolled="140d",
        age="300d",
    )
    w.log(d["pods"][0], [], [])
    w.backoff(d["pods"][0], 130, first="34m")
    w.statefulset("scada", "timescale", "timescale/timescaledb:2.17.2-pg16", [up()], claim="data", port=5432)
    w.healthy("scada", "registry.corp.example.net/scada/hmi:4.0.0", "registry.corp.example.net/scada/alarms:2.5.0")
    w.kube("KubePodCrashLooping", namespace="scada", pod=named(d["pods"][0]), container="opc-bridge")
    w.truth("unknown", ("Deployment", "scada", "opc-bridge"), "", mechanism="too little")
    return w.incident()


def errors_without_a_trace() -> Document:
    w = cluster(
        "eks",
        "An application's own rule reports errors; pods are ready, logs carry access lines only, nothing changed. https://sre.google/sre-book/effective-troubleshooting/",
    )
    d = w.deployment("quotes", "premium-calc", "acme/premium-calc:2.9.0", [up(), up(), up()], rolled="33d")
    for pod in d["pods"]:
        w.log(pod, [many(120, '{"method":"POST","path":"/calc","status":500,"ms":1{n}}')])
    w.healthy("quotes", "acme/tariffs:1.0.0", "acme/documents:4.4.0", "acme/agents:3.1.0")
    w.alert(
        "ErrorRatioHigh",
        {"service": "premium-calc", "env": "prod"},
        "8% of the requests to premium-calc fail",
        began="18m",
    )
    w.truth("unknown", ("Deployment", "quotes", "premium-calc"), "", mechanism="too little")
    return w.incident()


def slow_but_nothing_to_see() -> Document:
    w = cluster(
        "aks",
        "Latency is twice its usual value; the cluster shows nothing: no event, no restart, no change, silent logs. https://sre.google/sre-book/monitoring-distributed-systems/",
    )
    d = w.deployment(
        "booking", "availability", "contoso.azurecr.io/booking/availability:12.3.0", [up(), up(), up()], rolled="19d"
    )
    w.log(d["pods"][0], [many(100, "GET /v1/rooms?hotel=41{n} 200")])
    w.statefulset("booking", "availability-cache", "redis:7.2.5", [up(), up()], port=6379)
    w.herring("rollout", "backoffice")
    w.healthy("booking", "contoso.azurecr.io/booking/rates:7.0.0", "contoso.azurecr.io/booking/mails:1.1.0")
    w.alert(
        "LatencyHigh",
        {"app": "availability", "namespace": "booking"},
        "p99 of availability is 2.1 s",
        severity="warning",
        began="20m",
    )
    w.truth("unknown", ("Deployment", "booking", "availability"), "", mechanism="too little")
    return w.incident()


def killed_once_by_no_one_knows_whom() -> Document:
    w = cluster(
        "k3s",
        "A container was ended once with 137 and reason Error, not OOMKilled; it runs again and its old log is cut off. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states",
    )
    d = w.deployment(
        "forum",
        "threads",
        "ghcr.io/lumen/threads:6.6.0",
        [up(1, last="12m", code=137, lived="20d", since="12m"), up()],
        rolled="21d",
    )
    w.log(d["pods"][0], ["threads 6.6.0 ready", many(30, "GET /t/{n} 200")], [many(60, "GET /t/88{n} 200")])
    w.healthy("forum", "ghcr.io/lumen/avatars:1.1.0", "ghcr.io/lumen/moderation:3.0.2", "ghcr.io/lumen/digest:0.9.0")
    w.alert(
        "ContainerRestarted",
        {"namespace": "forum", "pod": named(d["pods"][0]), "container": "threads"},
        "threads was restarted",
        severity="info",
        began="11m",
    )
    w.truth(
        "unknown",
        ("Deployment", "forum", "threads"),
        "",
        ("none", ("Deployment", "forum", "threads")),
        mechanism="recovered",
    )
    return w.incident()


def seen_from_outside_only() -> Document:
    w = cluster(
        "gke",
        "A probe from another region fails while everything in the cluster answers; the way between is not to be seen from here. https://github.com/prometheus/blackbox_exporter",
    )
    d = w.deployment("status", "status-page", "europe-docker.pkg.dev/acme/status/page:41", [up(), up()], rolled="72d")
    w.log(d["pods"][0], [many(80, "10.132.0.9 GET / 200 3ms kube-probe/1.31")])
    w.add(
        "Ingress",
        "status",
        "status",
        spec={
            "rules": [
                {
                    "host": "status.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "status-page", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.80"}]}},
    )
    w.herring("neighbour", "status")
    w.healthy("status", "europe-docker.pkg.dev/acme/status/collector:12", "europe-docker.pkg.dev/acme/status/mailer:3")
    w.alert(
        "ProbeFailed",
        {"job": "blackbox-sydney", "instance": "https://status.example.com", "probe_region": "ap-southeast-2"},
        "https://status.example.com cannot be reached from ap-southeast-2",
        began="17m",
    )
    w.truth(
        "unknown",
        ("Service", "status", "status-page"),
        "",
        ("unknown", ("Deployment", "status", "status-page")),
        ("none", ("Service", "status", "status-page")),
        mechanism="too little",
    )
    return w.incident()


def probe_failed_at_start_only() -> Document:
    w = cluster(
        "bare",
        "While a pod started after a drain its readiness probe failed a few times, as it should; since then it is ready. https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/",
    )
    sts = w.statefulset(
        "library",
        "solr",
        "solr:9.7.0",
        [up(age="80d"), up(age="19m", since="16m"), up(age="80d")],
        claim="data",
        port=8983,
        with_={"readinessProbe": http_probe("/solr/admin/info/health", 8983)},
    )
    w.unhealthy(sts["pods"][1], "Readiness probe failed: HTTP probe failed with statuscode: 503", 14, first="19m")
    w.events[-1]["lastTimestamp"] = w.ago("17m")
    w.log(
        sts["pods"][1],
        [
            many(
                20,
                "2026-11-24 11:4{n}:01.000 INFO  (recoveryExecutor-11) o.a.s.c.RecoveryStrategy Replication recovery of shard{n}",
            ),
            "2026-11-24 11:44:02.220 INFO  (recoveryExecutor-11) o.a.s.c.RecoveryStrategy Finished recovery process, successful=[true]",
        ],
    )
    w.healthy(
        "library", "registry.corp.example.net/library/opac:8.0.0", "registry.corp.example.net/library/loans:5.4.0"
    )
    w.kube("KubePodNotReady", namespace="library", pod="solr-1", began="1m")
    w.truth(
        "none",
        ("Pod", "library", "solr-1"),
        "Finished recovery process",
        ("none", ("StatefulSet", "library", "solr")),
        mechanism="recovered",
    )
    return w.incident()


INCIDENTS = (
    node_was_rebooted_and_all_is_well,
    spot_node_was_replaced,
    pod_of_a_job_has_completed,
    job_failed_once_and_ran_since,
    rollout_is_on_its_way,
    node_is_drained_for_maintenance,
    warning_of_an_hour_ago,
    autoscaler_went_down_for_the_night,
    it_ends_without_a_word,
    errors_without_a_trace,
    slow_but_nothing_to_see,
    killed_once_by_no_one_knows_whom,
    seen_from_outside_only,
    probe_failed_at_start_only,
)
