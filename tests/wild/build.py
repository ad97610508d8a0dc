"""Kubernetes objects as the API returns them, in few words: a World collects the objects, events and logs of an incident."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

Document = dict[str, Any]
Subject = tuple[str, str, str]  # kind, namespace, name

HERRINGS = {
    "rollout": "a harmless rollout of another workload",
    "neighbour": "another workload has not been well for weeks",
    "restarts": "a pod that was killed for memory days ago",
    "warning": "a warning about a pod that is well again",
}
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
EVENTS_LIVE = 3600  # seconds after which the API server forgets an event
SAFE = "bcdfghjklmnpqrstvwxz2456789"
GROUPS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ControllerRevision": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "StorageClass": "storage.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}
SAYS = {  # summary, description: in our own words, about the labels of the rule
    "KubePodNotReady": ("A pod is not ready", "{namespace}/{pod} has not been ready for a quarter of an hour"),
    "KubePodCrashLooping": (
        "A pod restarts again and again",
        "{container} in {namespace}/{pod} is in CrashLoopBackOff",
    ),
    "KubeContainerWaiting": ("A container does not start", "{container} in {namespace}/{pod} waits: {reason}"),
    "KubeDeploymentReplicasMismatch": ("Replicas are missing", "{namespace}/{deployment} lacks available replicas"),
    "KubeDeploymentRolloutStuck": (
        "A rollout stands still",
        "The rollout of {namespace}/{deployment} does not progress",
    ),
    "KubeStatefulSetReplicasMismatch": ("Replicas are missing", "{namespace}/{statefulset} lacks ready replicas"),
    "KubeDaemonSetRolloutStuck": ("A rollout stands still", "{namespace}/{daemonset} is not on all of its nodes"),
    "KubeJobFailed": ("A job failed", "Job {namespace}/{job_name} failed; delete it once it is understood"),
    "KubeJobNotCompleted": (
        "A job takes too long",
        "Job {namespace}/{job_name} has been running for more than 12 hours",
    ),
    "KubeHpaMaxedOut": ("An autoscaler is at its maximum", "{namespace}/{horizontalpodautoscaler} cannot add replicas"),
    "KubeNodeNotReady": ("A node is not ready", "{node} has not been ready for a quarter of an hour"),
    "KubePersistentVolumeFillingUp": ("A volume is nearly full", "{namespace}/{persistentvolumeclaim} has 0.4% left"),
    "CPUThrottlingHigh": ("A container is throttled", "{container} in {namespace}/{pod}: {value} of its periods"),
    "TargetDown": ("Targets are down", "{value}% of {job}/{service} in {namespace} cannot be scraped"),
}
SCRAPED = {
    "KubePodCrashLooping": {"instance": "10.244.0.12:8443", "reason": "CrashLoopBackOff"},
    "KubeContainerWaiting": {"instance": "10.244.0.12:8443"},
    "KubeNodeNotReady": {"instance": "10.244.0.12:8443"},
    "KubeJobFailed": {"instance": "10.244.0.12:8443", "condition": "true"},
    "KubePersistentVolumeFillingUp": {
        "job": "kubelet",
        "instance": "10.0.2.17:10250",
        "metrics_path": "/metrics",
        "endpoint": "https-metrics",
        "service": "kubelet",
    },
}
BYSTANDERS = {
    "rollout": ("feature-flags", "consent-banner", "sitemap", "tracking-pixel", "newsletter", "geo-lookup"),
    "neighbour": ("legacy-bridge", "poc-chatbot", "old-exporter", "demo-tenant", "sandbox-ui", "migration-shadow"),
    "restarts": ("thumbnail-cache", "pdf-merge", "xml-import", "spell-check", "log-shipper", "graph-cache"),
    "warning": ("price-feed", "fx-quotes", "webhook-relay", "session-sync", "tax-tables", "status-poller"),
}


def seconds(text: str) -> int:
    """`1d2h`, `15m` or `30s` in seconds."""
    return sum(int(count) * SECONDS[unit] for count, unit in re.findall(r"(\d+)([dhms])", text))


def digest(text: str, length: int) -> str:
    """A name's random-looking end, as Kubernetes draws it, but always the same."""
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    return "".join(SAFE[number // len(SAFE) ** place % len(SAFE)] for place in range(length))


def up(restarts: int = 0, **more: Any) -> Document:
    return {"form": "running", "ready": True, "restarts": restarts, **more}


def unready(restarts: int = 0, **more: Any) -> Document:
    return {"form": "running", "ready": False, "restarts": restarts, **more}


def crash(code: int = 1, restarts: int = 9, reason: str = "Error", **more: Any) -> Document:
    """In CrashLoopBackOff; `message` is the termination message, `lived` how long the last try ran."""
    return {"form": "crash", "ready": False, "code": code, "reason": reason, "restarts": restarts, **more}


def waiting(reason: str, message: str = "", **more: Any) -> Document:
    return {"form": "waiting", "ready": False, "reason": reason, "message": message, "restarts": 0, **more}


def pending(message: str, **more: Any) -> Document:
    return {"form": "pending", "ready": False, "message": message, "restarts": 0, **more}


def evicted(message: str, **more: Any) -> Document:
    return {"form": "evicted", "ready": False, "message": message, "reason": "Evicted", "restarts": 0, **more}


def ended(code: int = 0, **more: Any) -> Document:
    """A pod that ran once: Succeeded for code 0, else Failed."""
    return {"form": "ended", "ready": False, "code": code, "restarts": 0, **more}


def is_ready(state: Document) -> bool:
    return bool(state["ready"]) and state.get("pod_ready") != "False"


def container(name: str, image: str, port: int = 0, env: Mapping[str, Any] | None = None, **more: Any) -> Document:
    """`env` maps a name to a value or to a valueFrom."""
    listed = [
        {"name": k, **({"valueFrom": v} if isinstance(v, dict) else {"value": v})} for k, v in (env or {}).items()
    ]
    made: Document = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent"}
    made |= {"ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}]} if port else {}
    made |= {"env": listed} if listed else {}
    made["resources"] = more.pop(
        "resources", {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
    )
    return made | {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"} | more


def secret_key(name: str, key: str) -> Document:
    return {"secretKeyRef": {"name": name, "key": key}}


def config_key(name: str, key: str) -> Document:
    return {"configMapKeyRef": {"name": name, "key": key}}


def http_probe(path: str, port: int, **more: int) -> Document:
    timing = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, **timing, **more}


class World:
    """One cluster at the moment `now`. Ages (`3d`, `20m`) are counted back from it."""

    def __init__(
        self, about: str, *, now: str = "2026-11-24T12:00:00Z", version: str = "v1.31.4", cluster: str = ""
    ) -> None:
        self.about, self.now, self.version, self.cluster = about, now, version, cluster
        self.objects: list[Document] = []
        self.events: list[Document] = []
        self.logs: dict[str, Document] = {}
        self.nodes: list[str] = []
        self.herrings: list[str] = []
        self.alerted: Document = {}
        self.answer: Document = {}
        self.placed = 0

    def ago(self, age: str) -> str:
        at = datetime.fromisoformat(self.now.replace("Z", "+00:00")) - timedelta(seconds=seconds(age))
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def add(self, kind: str, name: str, namespace: str = "", *, age: str = "90d", **more: Any) -> Document:
        """Any object. `labels`, `annotations`, `owner` (an object), `generation` go into its metadata."""
        uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{kind}/{namespace}/{name}"))
        meta: Document = {"name": name, "uid": uid, "resourceVersion": str(4000000 + int(uid[:5], 16))}
        meta |= {"creationTimestamp": self.ago(age)} | ({"namespace": namespace} if namespace else {})
        owner = more.pop("owner", None)
        meta |= {k: more.pop(k) for k in ("labels", "annotations", "generation", "deletionTimestamp") if k in more}
        if owner:
            meta["ownerReferences"] = [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        made = {"apiVersion": GROUPS.get(kind, "v1"), "kind": kind, "metadata": meta, **more}
        self.objects.append(made)
        return made

    def find(self, kind: str, name: str) -> Document:
        return next(one for one in self.objects if one["kind"] == kind and one["metadata"]["name"] == name)

    def node(
        self,
        name: str,
        *,
        ready: str = "True",
        why: str = "",
        message: str = "",
        since: str = "40d",
        age: str = "120d",
        **more: Any,
    ) -> Document:
        """`ready` True, False or Unknown. `pressure` names conditions that are True, with their message."""
        healthy = ("KubeletReady", "kubelet is posting ready status")
        reason, text = (why, message) if why else healthy
        calm = {
            "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        }
        beat = since if ready == "Unknown" else "30s"
        conditions = []
        for kind, (fine, words) in calm.items():
            state = "Unknown" if ready == "Unknown" else "True" if kind in more.get("pressure", {}) else "False"
            said = (reason, text) if ready == "Unknown" else more.get("pressure", {}).get(kind, (fine, words))
            changed = since if state != "False" else "40d"
            conditions.append(self.condition(kind, state, said[0], said[1], changed, lastHeartbeatTime=self.ago(beat)))
        conditions.append(self.condition("Ready", ready, reason, text, since, lastHeartbeatTime=self.ago(beat)))
        room = {
            "cpu": more.get("cpu", "4"),
            "memory": more.get("memory", "16208540Ki"),
            "pods": more.get("pods", "110"),
            "ephemeral-storage": "83873772Ki",
        }
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": more.get("arch", "amd64"),
            **more.get("labels", {}),
        }
        taints = list(more.get("taints", []))
        if ready != "True":
            key = "unreachable" if ready == "Unknown" else "not-ready"
            taints += [
                {"key": f"node.kubernetes.io/{key}", "effect": e, "timeAdded": self.ago(since)}
                for e in ("NoSchedule", "NoExecute")
            ]
        spec: Document = {"podCIDR": f"10.244.{len(self.nodes)}.0/24"} | ({"taints": taints} if taints else {})
        spec |= {"unschedulable": True} if more.get("unschedulable") else {}
        info = {
            "machineID": uuid.uuid5(uuid.NAMESPACE_DNS, f"machine/{name}").hex,
            "systemUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"system/{name}")),
            "bootID": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"boot/{name}")),
            "kubeProxyVersion": self.version,
            "kubeletVersion": self.version,
            "containerRuntimeVersion": "containerd://1.7.24",
            "osImage": "Ubuntu 22.04.5 LTS",
            "kernelVersion": "5.15.0-126-generic",
            "operatingSystem": "linux",
            "architecture": more.get("arch", "amd64"),
        }
        addresses = [
            {"type": "InternalIP", "address": f"10.0.{len(self.nodes) + 1}.17"},
            {"type": "Hostname", "address": name},
        ]
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": conditions,
            "addresses": addresses,
            "nodeInfo": info,
        }
        if ready == "True" and not more.get("unschedulable"):
            self.nodes.append(name)
        return self.add("Node", name, age=age, labels=labels, spec=spec, status=status)

    def condition(
        self, kind: str, status: str, reason: str = "", message: str = "", since: str = "40d", **more: Any
    ) -> Document:
        made = {"type": kind, "status": status, "lastTransitionTime": self.ago(since)}
        return made | ({"reason": reason} if reason else {}) | ({"message": message} if message else {}) | more

    # -- pods ---------------------------------------------------------------------------------------------------------

    def _container_status(
        self, made: Document, pod: str, namespace: str, uid: str, state: Document, begun: str
    ) -> Document:
        name, form = made["name"], state["form"]
        image_id = f"{made['image'].split(':')[0]}@sha256:{hashlib.sha256(made['image'].encode()).hexdigest()}"
        cid = "containerd://" + hashlib.sha256(f"{uid}{name}{state['restarts']}".encode()).hexdigest()
        known: Document = {
            "name": name,
            "image": made["image"],
            "imageID": image_id,
            "containerID": cid,
            "ready": state["ready"],
            "started": form == "running",
            "restartCount": state["restarts"],
            "state": {},
            "lastState": {},
        }
        if form in ("crash", "running") and ("code" in state or state["restarts"]):
            code = state.get("code", 143)
            last, lived = (
                seconds(state.get("last", "2m" if form == "crash" else "3d")),
                seconds(state.get("lived", "4s")),
            )
            done: Document = {
                "exitCode": code,
                "reason": state.get("reason", "Completed" if code == 0 else "Error"),
                "startedAt": self.ago(f"{last + lived}s"),
                "finishedAt": self.ago(f"{last}s"),
                "containerID": cid,
            }
            known["lastState"] = {"terminated": done | ({"message": state["message"]} if state.get("message") else {})}
        if form == "crash":
            text = f"back-off {state.get('backoff', '5m0s')} restarting failed container={name} pod={pod}_{namespace}({uid})"
            known["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
        elif form == "running":
            at = state.get("last", "3d") if state["restarts"] else begun
            known["state"] = {"running": {"startedAt": self.ago(at)}}
        elif form == "ended":
            bad = "Completed" if not state["code"] else state.get("reason", "Error")
            known["state"] = {
                "terminated": {
                    "exitCode": state["code"],
                    "reason": bad,
                    "startedAt": self.ago(begun),
                    "finishedAt": self.ago(state.get("finished", begun)),
                    "containerID": cid,
                }
            }
        else:
            known |= {"imageID": "", "started": False}
            del known["containerID"]
            words = {"message": state["message"]} if state.get("message") else {}
            known["state"] = {"waiting": {"reason": state["reason"], **words}}
        return known

    def pod(
        self,
        namespace: str,
        name: str,
        template: Document,
        state: Document,
        *,
        owner: Document | None = None,
        age: str = "12d",
        labels: Mapping[str, str] | None = None,
    ) -> Document:
        """`state["at"]` names the container (or init container) the state is about; the others run or wait for it."""
        age, form = state.get("age", age), state["form"]
        uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"Pod/{namespace}/{name}"))
        place = state.get("node") or (self.nodes[self.placed % len(self.nodes)] if self.nodes else "node-1")
        self.placed += 1
        spec = deepcopy(template)
        mains, inits = spec["containers"], spec.get("initContainers", [])
        at = state.get("at", mains[0]["name"])
        spec |= {
            "restartPolicy": spec.get("restartPolicy", "Always"),
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "serviceAccountName": spec.get("serviceAccountName", "default"),
        }
        status: Document = {"qosClass": "Burstable"}
        phase = {
            "running": "Running",
            "crash": "Running",
            "waiting": "Pending",
            "pending": "Pending",
            "evicted": "Failed",
        }.get(form, "Failed" if state.get("code") else "Succeeded")
        in_init = at in [one["name"] for one in inits]
        if in_init:
            phase = "Pending"
        not_ready = [one["name"] for one in mains if in_init or (one["name"] == at and not state["ready"])]
        if form == "pending":
            status |= {
                "phase": "Pending",
                "conditions": [self.condition("PodScheduled", "False", "Unschedulable", state["message"], age)],
            }
        elif form == "evicted":
            spec["nodeName"] = place
            status |= {"phase": "Failed", "reason": "Evicted", "message": state["message"], "startTime": self.ago(age)}
        else:
            spec["nodeName"] = place
            since = state.get("since", age if form != "running" or not state["ready"] else "3d")
            bad = (
                ("ContainersNotReady", f"containers with unready status: [{' '.join(not_ready)}]")
                if not_ready
                else ("", "")
            )
            if form == "ended":
                bad = ("PodCompleted", "") if not state["code"] else ("PodFailed", "")
            good = "False" if not_ready or form == "ended" else "True"
            first = ("ContainersNotInitialized", f"containers with incomplete status: [{at}]") if in_init else ("", "")
            status |= {"phase": phase, "hostIP": "10.0.1.17", "startTime": self.ago(age)}
            if not state.get("no_sandbox"):
                status |= {"podIP": f"10.244.{len(name) % 7}.{int(uid[:2], 16)}"}
            status["conditions"] = [
                self.condition("Initialized", "False" if in_init else "True", *first, since=age),
                self.condition("Ready", state.get("pod_ready", good), *bad, since=since),
                self.condition("ContainersReady", good, *bad, since=since),
                self.condition("PodScheduled", "True", since=age),
            ]
            idle = waiting("PodInitializing")
            quiet = (
                up()
                if form in ("crash", "running") or (form == "waiting" and state["reason"] not in ("ContainerCreating",))
                else state
            )
            status["containerStatuses"] = [
                self._container_status(
                    one, name, namespace, uid, state if one["name"] == at else idle if in_init else quiet, age
                )
                for one in mains
            ]
            if inits:
                order = [one["name"] for one in inits]
                done = ended(0, finished=age)
                reached = order.index(at) if in_init else len(order)
                status["initContainerStatuses"] = [
                    self._container_status(
                        one,
                        name,
                        namespace,
                        uid,
                        state if one["name"] == at else {**done, "ready": True} if place_ < reached else idle,
                        age,
                    )
                    for place_, one in enumerate(inits)
                ]
        return self.add(
            "Pod",
            name,
            namespace,
            age=age,
            labels=dict(labels or {}),
            owner=owner,
            spec=spec,
            status=status,
            **({"deletionTimestamp": self.ago(state["deleted"])} if "deleted" in state else {}),
        )

    # -- workloads ----------------------------------------------------------------------------------------------------

    def _template(self, name: str, image: str, more: Document) -> Document:
        first = container(
            more.pop("container", name), image, more.pop("port", 8080), more.pop("env", None), **more.pop("with_", {})
        )
        return {"containers": [first, *more.pop("sidecars", [])], **more.pop("template", {})}

    def deployment(
        self,
        namespace: str,
        name: str,
        image: str,
        pods: Sequence[Document] = (),
        *,
        old: Sequence[Document] = (),
        age: str = "90d",
        rolled: str = "12d",
        key: str = "app",
        revision: int = 4,
        **more: Any,
    ) -> Document:
        """A Deployment with its ReplicaSets (each of `old`: image, age, pods, env, with_), pods, Service and slice.

        → {object, replicaset, pods, template}. `progress`: "" rolled out, "moving" or "stuck"; `failure` is a ReplicaFailure text.
        """
        labels = {key: name, **more.pop("labels", {})}
        replicas, service = more.pop("replicas", len(pods)), more.pop("service", True)
        progress, failure = more.pop("progress", ""), more.pop("failure", "")
        annotations = {"deployment.kubernetes.io/revision": str(revision), **more.pop("annotations", {})}
        port = more.get("port", 8080)
        earlier = [
            {
                "image": image,
                **{k: v for k, v in more.items() if k in ("env", "with_", "template", "port", "container", "sidecars")},
                **one,
            }
            for one in old
        ]
        template = self._template(name, image, more)
        ready = sum(map(is_ready, pods)) + sum(is_ready(p) for one in old for p in one.get("pods", ()))
        running = len(pods) + sum(len(one.get("pods", ())) for one in old)
        enough = ready >= max(1, replicas - max(1, replicas // 4)) if replicas else True
        available = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        hashed = digest(f"{namespace}/{name}/{revision}/{image}", 10)
        states = {
            "": ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}-{hashed}" has successfully progressed.'),
            "moving": ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}-{hashed}" is progressing.'),
            "stuck": ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}-{hashed}" has timed out progressing.'),
        }
        progress = states[progress]
        conditions = [
            self.condition("Available", *available, since=rolled),
            self.condition("Progressing", *progress, since=rolled, lastUpdateTime=self.ago(rolled)),
        ]
        if failure:
            conditions.append(self.condition("ReplicaFailure", "True", "FailedCreate", failure, rolled))
        spec = {
            "replicas": replicas,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {key: name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels}, "spec": template},
        }
        status = {
            "observedGeneration": revision + 3,
            "replicas": running,
            "updatedReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, max(running, replicas) - ready),
            "conditions": conditions,
        }
        made = self.add(
            "Deployment",
            name,
            namespace,
            age=age,
            labels=labels,
            annotations=annotations,
            generation=revision + 3,
            spec=spec,
            status={k: v for k, v in status.items() if v != 0},
        )
        current = self._replicaset(
            made,
            template,
            hashed,
            labels,
            pods,
            replicas if not any(o.get("pods") for o in old) else len(pods),
            revision,
            rolled,
        )
        all_pods = list(current["pods"])
        for back, one in enumerate(earlier, 1):
            parts = {k: v for k, v in one.items() if k in ("env", "with_", "template", "port", "container", "sidecars")}
            before = self._replicaset(
                made,
                self._template(name, one["image"], parts),
                digest(f"{namespace}/{name}/{revision - back}/{one['image']}/old", 10),
                labels,
                one.get("pods", ()),
                len(one.get("pods", ())),
                revision - back,
                one.get("age", "30d"),
            )
            all_pods += before["pods"]
        if service:
            self.service(namespace, name, {key: name}, port)
        return {"object": made, "replicaset": current["object"], "pods": all_pods, "template": template}

    def _replicaset(
        self,
        owner: Document,
        template: Document,
        hashed: str,
        labels: Document,
        pods: Sequence[Document],
        replicas: int,
        revision: int,
        age: str,
    ) -> Document:
        name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
        own = {**labels, "pod-template-hash": hashed}
        ready = sum(map(is_ready, pods))
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": 1,
        }
        made = self.add(
            "ReplicaSet",
            f"{name}-{hashed}",
            namespace,
            age=age,
            labels=own,
            owner=owner,
            annotations={"deployment.kubernetes.io/revision": str(revision)},
            spec={
                "replicas": replicas,
                "selector": {"matchLabels": own},
                "template": {"metadata": {"labels": own}, "spec": template},
            },
            status={k: v for k, v in status.items() if v or k == "replicas"},
        )
        return {
            "object": made,
            "pods": [
                self.pod(
                    namespace,
                    f"{name}-{hashed}-{digest(f'{name}{hashed}{n}', 5)}",
                    template,
                    one,
                    owner=made,
                    age=age,
                    labels=own,
                )
                for n, one in enumerate(pods)
            ],
        }

    def service(
        self,
        namespace: str,
        name: str,
        selector: Mapping[str, str],
        port: int = 8080,
        *,
        target: Any = None,
        age: str = "90d",
        **spec: Any,
    ) -> Document:
        """A Service and the EndpointSlice that follows from the pods there are."""
        ports = [{"name": "http", "port": 80, "targetPort": port if target is None else target, "protocol": "TCP"}]
        made = self.add(
            "Service",
            name,
            namespace,
            age=age,
            labels={"app": name},
            spec={
                "type": "ClusterIP",
                "clusterIP": f"172.20.{len(name)}.{len(namespace) * 7 % 250}",
                "selector": dict(selector),
                "ports": ports,
                **spec,
            },
            status={"loadBalancer": {}},
        )
        ends = []
        for one in self.objects:
            meta = one["metadata"]
            if (
                one["kind"] == "Pod"
                and meta.get("namespace") == namespace
                and selector.items() <= meta.get("labels", {}).items()
                and "podIP" in one["status"]
            ):
                if one["status"]["phase"] not in ("Pending", "Running"):
                    continue
                ready = any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"]["conditions"])
                ends.append(
                    {
                        "addresses": [one["status"]["podIP"]],
                        "conditions": {"ready": ready, "serving": ready, "terminating": False},
                        "nodeName": one["spec"]["nodeName"],
                        "targetRef": {"kind": "Pod", "name": meta["name"], "namespace": namespace, "uid": meta["uid"]},
                    }
                )
        number = port if not isinstance(target, int) else target
        fits = not isinstance(target, str) or target == "http"
        self.add(
            "EndpointSlice",
            f"{name}-{digest(f'{namespace}/{name}', 5)}",
            namespace,
            age=age,
            owner=made,
            labels={"kubernetes.io/service-name": name},
            addressType="IPv4",
            endpoints=ends,
            ports=[{"name": "http", "port": number, "protocol": "TCP"}] if fits else [],
        )
        return made

    def statefulset(
        self,
        namespace: str,
        name: str,
        image: str,
        pods: Sequence[Document],
        *,
        claim: str = "",
        size: str = "20Gi",
        storage: str = "gp3",
        age: str = "200d",
        key: str = "app",
        **more: Any,
    ) -> Document:
        """A StatefulSet with its pods, headless Service and, with `claim`, the claims `<claim>-<name>-<n>`, bound."""
        labels, replicas = {key: name, **more.pop("labels", {})}, more.pop("replicas", len(pods))
        port, claim_phase = more.get("port", 8080), more.pop("claim_phase", "Bound")
        template = self._template(name, image, more)
        if claim:
            template["containers"][0].setdefault("volumeMounts", [{"name": claim, "mountPath": "/data"}])
        revision = f"{name}-{digest(f'{namespace}{name}sts', 9)}"
        ready = sum(map(is_ready, pods))
        spec: Document = {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "OrderedReady",
            "selector": {"matchLabels": {key: name}},
            "template": {"metadata": {"labels": labels}, "spec": template},
            "updateStrategy": {"type": "RollingUpdate"},
        }
        if claim:
            spec["volumeClaimTemplates"] = [
                {
                    "metadata": {"name": claim},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": storage,
                        "resources": {"requests": {"storage": size}},
                    },
                }
            ]
        status = {
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(pods),
            "updatedReplicas": len(pods),
            "currentRevision": revision,
            "updateRevision": revision,
            "observedGeneration": 2,
        }
        made = self.add("StatefulSet", name, namespace, age=age, labels=labels, generation=2, spec=spec, status=status)
        listed = []
        for n, one in enumerate(pods):
            mine = deepcopy(template)
            if claim:
                self.claim(namespace, f"{claim}-{name}-{n}", size=size, storage=storage, age=age, phase=claim_phase)
                mine.setdefault("volumes", []).append(
                    {"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}-{n}"}}
                )
            own = {**labels, "controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": f"{name}-{n}"}
            listed.append(self.pod(namespace, f"{name}-{n}", mine, one, owner=made, age="30d", labels=own))
        self.service(namespace, name, {key: name}, port, clusterIP="None")
        return {"object": made, "pods": listed, "template": template}

    def claim(
        self,
        namespace: str,
        name: str,
        *,
        size: str = "20Gi",
        storage: str = "gp3",
        age: str = "200d",
        phase: str = "Bound",
        zone: str = "",
    ) -> Document:
        spec: Document = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage,
            "resources": {"requests": {"storage": size}},
            "volumeMode": "Filesystem",
        }
        if phase != "Bound":
            return self.add("PersistentVolumeClaim", name, namespace, age=age, spec=spec, status={"phase": phase})
        claim = self.add(
            "PersistentVolumeClaim",
            name,
            namespace,
            age=age,
            spec=spec,
            status={"phase": phase, "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}},
        )
        volume = f"pvc-{claim['metadata']['uid']}"
        spec["volumeName"] = volume
        where: Document = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage,
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-0{volume[4:20].replace('-', '')}"},
            "claimRef": {
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": name,
                "uid": claim["metadata"]["uid"],
            },
        }
        if zone:
            where["nodeAffinity"] = {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
                            ]
                        }
                    ]
                }
            }
        self.add("PersistentVolume", volume, age=age, spec=where, status={"phase": "Bound"})
        return claim

    def daemonset(
        self,
        namespace: str,
        name: str,
        image: str,
        pods: Sequence[Document],
        *,
        age: str = "200d",
        key: str = "k8s-app",
        **more: Any,
    ) -> Document:
        labels, desired = {key: name}, more.pop("desired", len(pods))
        template, ready = self._template(name, image, more), sum(map(is_ready, pods))
        spec = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        }
        status = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": desired,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": desired - ready,
            "updatedNumberScheduled": len(pods),
            "observedGeneration": 3,
        }
        made = self.add("DaemonSet", name, namespace, age=age, labels=labels, generation=3, spec=spec, status=status)
        own = {**labels, "controller-revision-hash": digest(f"{name}ds", 9), "pod-template-generation": "3"}
        listed = [
            self.pod(
                namespace,
                f"{name}-{digest(f'{namespace}{name}{n}', 5)}",
                template,
                one,
                owner=made,
                age="30d",
                labels=own,
            )
            for n, one in enumerate(pods)
        ]
        return {"object": made, "pods": listed, "template": template}

    def job(
        self,
        namespace: str,
        name: str,
        image: str,
        pods: Sequence[Document],
        *,
        age: str = "40m",
        owner: Document | None = None,
        failed: Sequence[str] = (),
        done: bool = False,
        **more: Any,
    ) -> Document:
        """`failed`: reason and message of the Failed condition."""
        limit, deadline = more.pop("limit", 3), more.pop("deadline", None)
        more["port"] = 0
        template = self._template(name, image, more) | {"restartPolicy": "Never"}
        labels = {"batch.kubernetes.io/job-name": name, "job-name": name}
        status: Document = {"startTime": self.ago(age)}
        bad = sum(1 for one in pods if one["form"] in ("ended", "evicted") and one.get("code", 1))
        status |= {"failed": bad} if bad else {}
        if done:
            status |= {
                "succeeded": 1,
                "completionTime": self.ago(pods[-1].get("finished", age)) if pods else self.ago(age),
                "conditions": [self.condition("Complete", "True", since=age)],
            }
        elif failed:
            status["conditions"] = [self.condition("Failed", "True", *failed, since=more.get("since", "16m"))]
        else:
            status["active"] = sum(1 for one in pods if one["form"] not in ("ended", "evicted"))
        spec = {
            "backoffLimit": limit,
            "completions": 1,
            "parallelism": 1,
            "template": {"metadata": {"labels": labels}, "spec": template},
        } | ({"activeDeadlineSeconds": deadline} if deadline else {})
        made = self.add("Job", name, namespace, age=age, labels=labels, owner=owner, spec=spec, status=status)
        listed = [
            self.pod(
                namespace,
                f"{name}-{digest(f'{namespace}{name}{n}', 5)}",
                template,
                one,
                owner=made,
                age=age,
                labels=labels,
            )
            for n, one in enumerate(pods)
        ]
        return {"object": made, "pods": listed, "template": template}

    def cronjob(
        self,
        namespace: str,
        name: str,
        image: str,
        schedule: str,
        *,
        last: str,
        success: str,
        age: str = "150d",
        suspend: bool = False,
        policy: str = "Forbid",
        **more: Any,
    ) -> Document:
        template = self._template(name, image, more | {"port": 0}) | {"restartPolicy": "Never"}
        spec = {
            "schedule": schedule,
            "suspend": suspend,
            "concurrencyPolicy": policy,
            "failedJobsHistoryLimit": 3,
            "successfulJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {"template": {"spec": template}}},
        }
        return self.add(
            "CronJob",
            name,
            namespace,
            age=age,
            spec=spec,
            status={"lastScheduleTime": self.ago(last), "lastSuccessfulTime": self.ago(success)},
        )

    def hpa(
        self,
        namespace: str,
        name: str,
        target: str,
        low: int,
        high: int,
        current: int,
        desired: int,
        conditions: Iterable[Document],
        *,
        value: int | None = 50,
        goal: int = 70,
    ) -> Document:
        metric = {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": goal}},
        }
        spec = {
            "minReplicas": low,
            "maxReplicas": high,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "metrics": [metric],
        }
        status: Document = {"currentReplicas": current, "desiredReplicas": desired, "conditions": list(conditions)}
        if value is not None:
            status["currentMetrics"] = [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "current": {"averageUtilization": value, "averageValue": f"{value * 5}m"},
                    },
                }
            ]
        return self.add("HorizontalPodAutoscaler", name, namespace, spec=spec, status=status)

    def config(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        *,
        age: str = "90d",
        changed: str = "",
        by: str = "kubectl-client-side-apply",
    ) -> Document:
        made = self.add("ConfigMap", name, namespace, age=age, data=dict(data))
        return self._changed(made, changed, by)

    def secret(
        self,
        namespace: str,
        name: str,
        keys: Sequence[str] = (),
        *,
        age: str = "90d",
        changed: str = "",
        by: str = "kubectl-client-side-apply",
        kind: str = "Opaque",
    ) -> Document:
        made = self.add("Secret", name, namespace, age=age, type=kind, data=dict.fromkeys(keys, ""))
        return self._changed(made, changed, by)

    def _changed(self, made: Document, changed: str, by: str) -> Document:
        if changed:
            made["metadata"]["managedFields"] = [
                {
                    "manager": by,
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": self.ago(changed),
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:data": {}},
                }
            ]
        return made

    def healthy(self, namespace: str, *images: str, replicas: int = 2) -> None:
        """Workloads that are well: `repository/name:tag` each, named by the image."""
        for n, image in enumerate(images):
            name = image.rsplit("/", 1)[-1].split(":")[0]
            self.deployment(
                namespace,
                name,
                image,
                [up() for _ in range(replicas if n % 2 == 0 else 1)],
                rolled=f"{9 + 4 * n}d",
                old=[{"image": image.rsplit(":", 1)[0] + ":0.9.0", "age": f"{31 + n}d"}],
            )

    def herring(self, kind: str, namespace: str) -> None:
        """Something striking that has nothing to do with the matter: a rollout, a sick neighbour, restarts, a warning."""
        names = BYSTANDERS[kind]
        name = names[int(hashlib.sha256(self.about.encode()).hexdigest(), 16) % len(names)]
        if kind == "rollout":
            d = self.deployment(
                namespace,
                name,
                f"acme/{name}:1.31.0",
                [up(age="47m"), up(age="47m")],
                rolled="47m",
                revision=31,
                old=[{"image": f"acme/{name}:1.30.2", "age": "9d"}],
            )
            self.event(
                d["object"],
                "ScalingReplicaSet",
                f"Scaled up replica set {named(d['replicaset'])} from 1 to 2",
                kind="Normal",
                first="47m",
                source="deployment-controller",
            )
        elif kind == "neighbour":
            image = f"acme/{name}:0.3.1"
            d = self.deployment(
                namespace,
                name,
                image,
                [waiting("ImagePullBackOff", f'Back-off pulling image "{image}"', age="17d")],
                rolled="17d",
            )
            self.event(
                d["pods"][0], "BackOff", f'Back-off pulling image "{image}"', kind="Normal", count=104000, first="17d"
            )
        elif kind == "restarts":
            self.deployment(
                namespace,
                name,
                f"acme/{name}:2.0.4",
                [up(11, last="3d", code=137, reason="OOMKilled", lived="4d"), up()],
                rolled="50d",
            )
        else:
            d = self.deployment(namespace, name, f"acme/{name}:4.4.0", [up(), up()], rolled="30d")
            self.event(
                d["pods"][0],
                "Unhealthy",
                'Readiness probe failed: Get "http://10.244.1.90:8080/ready": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
                count=3,
                first="58m",
                last="52m",
            )
        self.herrings.append(HERRINGS[kind])

    def coredns(self, *pods: Document) -> Document:
        return self.deployment(
            "kube-system",
            "coredns",
            "registry.k8s.io/coredns/coredns:v1.11.3",
            pods or (up(), up()),
            key="k8s-app",
            port=53,
            rolled="60d",
            service=False,
        )

    # -- what is told about them --------------------------------------------------------------------------------------

    def event(
        self,
        about: Document,
        reason: str,
        message: str,
        *,
        kind: str = "Warning",
        count: int = 1,
        first: str = "20m",
        last: str = "1m",
        source: str = "kubelet",
    ) -> None:
        if seconds(last if count > 1 else first) > EVENTS_LIVE:
            return
        meta = about["metadata"]
        seen = {
            "firstTimestamp": self.ago(first),
            "lastTimestamp": self.ago(last if count > 1 else first),
            "count": count,
        }
        where = {"component": source} | (
            {"host": about["spec"]["nodeName"]}
            if source == "kubelet" and about["kind"] == "Pod" and "nodeName" in about["spec"]
            else {}
        )
        n = len(self.events)
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
        } | ({"namespace": meta["namespace"]} if "namespace" in meta else {})
        name = f"{meta['name']}.{hashlib.sha256(f'{n}{message}'.encode()).hexdigest()[:16]}"
        uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"Event/{name}"))
        self.events.append(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {
                    "name": name,
                    "namespace": meta.get("namespace", "default"),
                    "uid": uid,
                    "creationTimestamp": self.ago(first),
                },
                "involvedObject": involved,
                "reason": reason,
                "message": message,
                "type": kind,
                **seen,
                "source": where,
                "reportingComponent": source,
                "reportingInstance": where.get("host", ""),
            }
        )

    def scaled(self, deployment: str, how: str = "up", change: str = "from 1 to 2", *, first: str = "55m") -> None:
        """The event of a Deployment that scaled its current ReplicaSet `up` or `down`."""
        made = self.find("Deployment", deployment)
        current = next(
            one
            for one in self.objects
            if one["kind"] == "ReplicaSet" and one["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        )
        text = f"Scaled {how} replica set {named(current)} {change}"
        self.event(made, "ScalingReplicaSet", text, kind="Normal", first=first, source="deployment-controller")

    def backoff(self, pod: Document, count: int = 60, *, first: str = "30m", at: str = "") -> None:
        meta, name = pod["metadata"], at or pod["spec"]["containers"][0]["name"]
        self.event(
            pod,
            "BackOff",
            f"Back-off restarting failed container {name} in pod {meta['name']}_{meta['namespace']}({meta['uid']})",
            count=count,
            first=first,
        )

    def unhealthy(self, pod: Document, message: str, count: int = 60, *, first: str = "30m") -> None:
        self.event(pod, "Unhealthy", message, count=count, first=first)

    def log(self, pod: Document, current: Sequence[Any] = (), previous: Sequence[Any] = (), *, at: str = "") -> None:
        """Lines, and {repeat, line} for many; `{n}` in a line counts."""
        meta = pod["metadata"]
        path = f"{meta['namespace']}/{meta['name']}/{at or pod['spec']['containers'][0]['name']}"
        self.logs[path] = {"current": spread(current), "previous": spread(previous)}

    def alert(
        self,
        name: str,
        labels: Mapping[str, str],
        summary: str,
        description: str = "",
        *,
        began: str = "16m",
        severity: str = "critical",
        expr: str = "",
    ) -> None:
        """A team's own rule."""
        own = {"alertname": name, **labels, "severity": severity} | ({"cluster": self.cluster} if self.cluster else {})
        said = {"summary": summary} | ({"description": description} if description else {})
        self.alerted = {"labels": own, "annotations": said, "startsAt": self.ago(began)} | (
            {"expr": expr} if expr else {}
        )

    def kube(self, name: str, *, began: str = "16m", severity: str = "warning", **labels: str) -> None:
        """An alert of kube-prometheus."""
        value = labels.pop("value", "")
        own = {"alertname": name, "job": "kube-state-metrics", "prometheus": "monitoring/k8s", "severity": severity}
        own |= {**SCRAPED.get(name, {}), **labels, **({"cluster": self.cluster} if self.cluster else {})}
        if name == "CPUThrottlingHigh":
            del own["job"]
        summary, text = SAYS[name]
        self.alerted = {
            "labels": own,
            "annotations": {
                "description": text.format_map({"value": value, **own}),
                "summary": summary,
                "runbook_url": f"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/{name.lower()}",
            },
            "startsAt": self.ago(began),
        }

    def truth(
        self,
        fault: str,
        subject: Subject,
        decisive: str,
        *also: tuple[str, Subject],
        mechanism: str,
        elsewhere: bool = False,
        herring: str = "",
    ) -> None:
        named = [{"fault": other, "subject": subject_of(one)} for other, one in also]
        self.answer = {
            "subject": subject_of(subject),
            "fault": fault,
            "also": named,
            "decisive": decisive,
            "abstain": fault in ("none", "unknown"),
        }
        self.tags = {
            "mechanism": mechanism,
            "elsewhere": elsewhere,
            "herring": "; ".join([*self.herrings, *([herring] if herring else [])]),
        }

    def incident(self) -> Document:
        return {
            "about": self.about,
            "now": self.now,
            "alert": self.alerted,
            "objects": self.objects,
            "events": self.events,
            "logs": self.logs,
            "truth": self.answer,
            "tags": self.tags,
        }


def subject_of(subject: Subject) -> Document:
    return {"kind": subject[0], "namespace": subject[1], "name": subject[2]}


def spread(lines: Sequence[Any]) -> str:
    """Lines as one text; {"repeat": n, "line": …} stands for n lines in which {n} counts and the clock goes on."""
    told: list[str] = []
    for one in lines:
        told += (
            [counted(one["line"], n, one["repeat"]) for n in range(one["repeat"])] if isinstance(one, dict) else [one]
        )
    return "\n".join(told) + ("\n" if told else "")


def counted(line: str, n: int, times: int) -> str:
    """The n-th of so many lines. `11:{n}` and `11:5{n}` stay a time of day, `{epoch}` is seconds since 1970."""
    line = re.sub(r"(?<=\d\d:)(\d)\{n\}", lambda found: f"{found[1]}{n * 10 // times}", line)
    line = re.sub(r"(?<=\d\d:)\{n\}", f"{n * 60 // times:02d}", line)
    return line.replace("{epoch}", str(1795520400 + n * 1100 // times)).replace("{n}", str(n))


def many(count: int, line: str) -> Document:
    return {"repeat": count, "line": line}


def named(made: Document) -> str:
    return str(made["metadata"]["name"])


NODES = {
    "eks": ("v1.30.8-eks-aeac579", "ip-10-0-{n}-17.eu-west-1.compute.internal"),
    "gke": ("v1.31.5-gke.1023000", "gke-prod-main-pool-6482d459-fjz{n}"),
    "aks": ("v1.29.9", "aks-agentpool-22124581-vmss00000{n}"),
    "bare": ("v1.28.15", "worker-{n}"),
    "k3s": ("v1.32.3+k3s1", "k3s-agent-0{n}"),
    "openshift": ("v1.27.16+03a907c", "ocp4-compute-{n}.corp.example.net"),
}


def cluster(platform: str, about: str, *, nodes: int = 3, coredns: bool = True, **world: Any) -> World:
    """A World with healthy nodes of a platform's version and naming, and CoreDNS."""
    version, name = NODES[platform]
    made = World(about, version=version, **world)
    for n in range(1, nodes + 1):
        made.node(name.format(n=n), labels={"topology.kubernetes.io/zone": f"eu-west-1{'abc'[n % 3]}"})
    if coredns:
        made.coredns()
    return made
