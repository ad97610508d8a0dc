"""What changed of a workload, when, and whether only its new pods fail."""

from __future__ import annotations

from typing import Any

from tests.tools.kubernetes.things import NOW, ago, container, deployment, ended, load, named, pod, ready_pod, status
from tools.kubernetes.symptoms.changes import change_symptoms
from tools.symptoms import TELLS, Symptom

REVISION, HISTORY = "deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history"


def kept(number: int, age: float, of: Any = None, **more: Any) -> Any:
    template = {
        "metadata": {"labels": {"app": "ledger"}},
        "spec": {"containers": [of or container()], **more.pop("spec", {})},
    }
    notes = {REVISION: str(number), **more.pop("annotations", {})}
    name = f"ledger-hash{number}"
    return named(
        "ReplicaSet",
        name,
        age=age,
        owner="Deployment/ledger",
        annotations=notes,
        labels={"pod-template-hash": f"hash{number}"},
        spec={"template": template},
    )


def at_revision(number: int, **more: Any) -> Any:
    return deployment(replicas=2, annotations={REVISION: str(number)}, age=90_000, **more)


def of_revision(number: int, name: str, ill: bool = False) -> Any:
    owner, labels = f"ReplicaSet/ledger-hash{number}", {"app": "ledger", "pod-template-hash": f"hash{number}"}
    if ill:
        failing = [status(restarts=4, waiting=("CrashLoopBackOff", ""), last=ended(1))]
        return pod(f"ledger-hash{number}-{name}", owner=owner, labels=labels, statuses=failing)
    return ready_pod(f"ledger-hash{number}-{name}", owner=owner, labels=labels)


def changes(*objects: Any) -> list[Symptom]:
    told = change_symptoms(load(*objects))
    assert all(one.kind == "changed" and one.severity == TELLS and len(one.text) <= 240 for one in told)
    return told


OLD, NEW = container(image="acme/ledger:2.4.0"), container(image="acme/ledger:2.5.0")


def test_a_new_image_of_which_only_the_new_pods_fail() -> None:
    pods = [of_revision(2, "bbbbb", ill=True), of_revision(1, "ccccc")]
    (one,) = changes(at_revision(2), kept(1, 80_000, OLD), kept(2, 480, NEW), *pods)
    assert (one.reason, one.labels["old"], one.labels["new"], one.labels["dose"]) == (
        "image",
        "acme/ledger:2.4.0",
        "acme/ledger:2.5.0",
        "new",
    )
    assert one.since == (NOW.timestamp() - 480, NOW.timestamp() - 480)
    assert one.text == (
        "image of ledger changed (revision 2, 8 min ago): acme/ledger:2.4.0 → acme/ledger:2.5.0; its pods fail and older ones do not"
    )


def test_a_change_whose_pods_are_well_has_no_dose_and_one_where_old_pods_fail_too_has_all() -> None:
    well = [of_revision(2, "bbbbb"), of_revision(2, "ccccc")]
    both = [of_revision(2, "bbbbb", ill=True), of_revision(1, "ccccc", ill=True)]
    doses = [
        changes(at_revision(2), kept(1, 80_000, OLD), kept(2, 480, NEW), *pods)[0].labels["dose"]
        for pods in (well, both)
    ]
    assert doses == ["none", "all"]


def test_a_first_installation_is_no_change() -> None:
    assert changes(at_revision(1), kept(1, 300, NEW), of_revision(1, "bbbbb", ill=True)) == []


def test_a_roll_back_is_a_change() -> None:
    now = {"type": "Progressing", "status": "True", "lastUpdateTime": ago(600)}
    back = kept(3, 80_000, OLD, annotations={HISTORY: "1"})
    first = changes(at_revision(3, status={"conditions": [now]}), kept(2, 9_000, NEW), back)[0]
    assert "rolled back, revision 3, 10 min ago" in first.text
    assert (first.labels["old"], first.labels["new"]) == ("acme/ledger:2.5.0", "acme/ledger:2.4.0")


def test_two_roll_outs_are_two_changes_and_the_newest_is_first() -> None:
    third = container(image="acme/ledger:2.5.1")
    told = changes(at_revision(3), kept(1, 80_000, OLD), kept(2, 9_000, NEW), kept(3, 480, third))
    assert [one.labels["revision"] for one in told] == ["3", "2"]


def test_a_roll_out_of_last_week_is_no_news() -> None:
    assert changes(at_revision(2), kept(1, 900_000, OLD), kept(2, 700_000, NEW)) == []


def test_each_aspect_of_a_change_is_told_for_itself() -> None:
    old = container(
        env=[{"name": "WORKERS", "value": "4"}, {"name": "DB_PASSWORD", "value": "hunter2"}],
        resources={"limits": {"memory": "1Gi"}},
        readinessProbe={"httpGet": {"path": "/ready", "port": 8080}},
        command=["ledgerd"],
    )
    new = container(
        env=[{"name": "WORKERS", "value": "64"}, {"name": "DB_PASSWORD", "value": "hunter3"}],
        resources={"limits": {"memory": "128Mi"}},
        readinessProbe={"httpGet": {"path": "/healthz", "port": 8080}},
        command=["ledger"],
        envFrom=[{"configMapRef": {"name": "ledger-v2"}}],
    )
    told = {one.reason: one for one in changes(at_revision(2), kept(1, 80_000, old), kept(2, 480, new))}
    assert set(told) == {"env", "resources", "probes", "config", "other"}
    assert (told["env"].labels["old"], told["env"].labels["new"]) == ("WORKERS=4", "WORKERS=64")
    assert (told["resources"].labels["old"], told["resources"].labels["new"]) == (
        "limits.memory=1Gi",
        "limits.memory=128Mi",
    )
    assert told["config"].labels["new"] == "ConfigMap/ledger-v2"
    assert "hunter" not in "".join(f"{one.text}{one.labels}" for one in told.values())


def test_a_statefulset_tells_its_changes_by_its_revisions() -> None:
    def revision(number: int, age: float, image: str) -> Any:
        template = {"spec": {"template": {"spec": {"containers": [container(image=image)]}}}}
        return named(
            "ControllerRevision",
            f"ledger-r{number}",
            age=age,
            owner="StatefulSet/ledger",
            revision=number,
            data=template,
        )

    whole = deployment(kind="StatefulSet", replicas=2, age=90_000, status={"updateRevision": "ledger-r2"})
    ill = pod(
        "ledger-1",
        owner="StatefulSet/ledger",
        labels={"controller-revision-hash": "ledger-r2"},
        statuses=[status(waiting=("ErrImagePull", "manifest unknown"))],
    )
    well = ready_pod("ledger-0", owner="StatefulSet/ledger", labels={"controller-revision-hash": "ledger-r1"})
    (one,) = changes(whole, revision(1, 80_000, "a:1"), revision(2, 480, "a:2"), ill, well)
    assert (one.reason, one.labels["dose"]) == ("image", "new")


def test_a_configuration_that_was_written_is_a_change_of_that() -> None:
    reads = container(envFrom=[{"configMapRef": {"name": "ledger-settings"}}])
    fields = [{"manager": "kubectl-edit", "time": ago(900)}]
    written = named("ConfigMap", "ledger-settings", age=90_000, managedFields=fields)
    (one,) = changes(deployment(containers=[reads]), written)
    assert (one.subject.kind, one.subject.name, one.reason) == ("ConfigMap", "ledger-settings", "config")
    fresh = named("ConfigMap", "ledger-settings", age=900, managedFields=fields)
    assert changes(deployment(containers=[reads]), fresh) == [], "it was only made then"


def test_replicas_that_a_person_set_are_a_change_and_those_of_an_autoscaler_are_not() -> None:
    def scaled(by: str) -> Any:
        return deployment(replicas=1, managedFields=[{"manager": by, "subresource": "scale", "time": ago(300)}])

    (one,) = changes(scaled("kubectl"))
    assert (one.reason, one.text) == ("scale", "scaled to 1 replicas 5 min ago by kubectl")
    assert changes(scaled("kube-controller-manager")) == []


def test_where_some_new_pods_fail_and_there_are_no_old_ones_nothing_is_compared() -> None:
    pods = [of_revision(2, "bbbbb", ill=True), of_revision(2, "ccccc")]
    (one,) = changes(at_revision(2), kept(1, 80_000, OLD), kept(2, 480, NEW), *pods)
    assert (one.labels["dose"], one.text.endswith("; some pods fail")) == ("some", True)
