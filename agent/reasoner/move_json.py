"""Moves as plain JSON for the timeline, and back: `agent.domain.moves` under its old name."""

from agent.domain.moves import from_json, to_json

__all__ = ["from_json", "to_json"]
