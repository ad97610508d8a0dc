"""What the platform's own services answer: which model version serving runs, and the sink for retraining requests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.lab.answers import NotJson, answer, body_of
from agent.lab.world.platform import MODEL
from agent.lab.world.world import World


def routes(world: World) -> list[Route]:
    async def version(request: Request) -> Response:
        if request.path_params["model"] != MODEL:
            return answer({"error": f"no model {request.path_params['model']} is served here"}, 404)
        now = world.now_ms()
        served = [number for at, number in world.sim.served if at <= now]
        return answer({"model": MODEL, "version": served[-1]})

    async def retraining(request: Request) -> Response:
        """A CloudEvent, structured or binary. The same id again is the same request."""
        try:
            event = await body_of(request)
        except NotJson as error:
            return answer({"error": str(error)}, 400)
        key = str(event.get("id") or request.headers.get("ce-id") or "")
        if not key:
            return answer({"error": "a CloudEvent needs an id"}, 400)
        if any(change.kind == "retraining" and change.key == key for change in world.applied):
            return answer({"accepted": key, "again": True}, 202)
        data = event.get("data") if isinstance(event.get("data"), dict) else event
        assert isinstance(data, dict)
        world.change("retraining", {"event": event, "data_version": data.get("data_version")}, key)
        return answer({"accepted": key}, 202)

    async def requested(request: Request) -> Response:
        """Whether an event has arrived, by its id."""
        key = request.path_params["key"]
        found = any(change.kind == "retraining" and change.key == key for change in world.applied)
        return answer({"id": key, "accepted": found}, 200 if found else 404)

    return [
        Route("/serving/{model}/version", version, methods=["GET"]),
        Route("/retraining", retraining, methods=["POST"]),
        Route("/retraining/{key}", requested, methods=["GET"]),
    ]
