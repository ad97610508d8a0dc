"""Actions on a lab's world without the product: what a person with kubectl and curl would do."""

from __future__ import annotations

from agent.lab.scenario import RightAction
from agent.lab.server import Lab
from agent.lab.world.cluster import Cluster


def act(lab: Lab, action: RightAction) -> None:
    match action.action:
        case "point_model_alias":
            lab.world.change("alias", {"alias": "champion", "version": str(action.args["version"])})
        case "request_retraining":
            lab.world.change("retraining", {}, "asked-by-hand")
        case "scale_workload" | "restart_workload" | "roll_back_workload":
            change_workload(lab, action)
        case other:
            raise AssertionError(f"the test does not know {other}")


def change_workload(lab: Lab, action: RightAction) -> None:
    path = str(action.args["workload"]).split("/")
    cluster = Cluster(lab.world, path[0] if len(path) == 3 else lab.scenario.clusters[0])
    found = next(d for d in cluster.deployments() if d.name == path[-1])
    if action.action == "scale_workload":
        changes: dict[str, object] = {"replicas": found.replicas + 2}
    elif action.action == "restart_workload":
        changes = {"template": {"annotations": {"kubectl.kubernetes.io/restartedAt": lab.clock.now().isoformat()}}}
    else:
        older, current = found.revisions[-2:]
        annotations = {**dict.fromkeys(current.annotations), **older.annotations}
        changes = {"template": {"image": older.image, "env": dict(older.env), "annotations": annotations}}
    cluster.change_deployment(found.namespace, found.name, changes)
