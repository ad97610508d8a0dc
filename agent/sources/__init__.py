"""Where alerts come from. The routes with what they need, /docs, the scopes of tokens, the secrets and their redaction,
`doctor` and the README's row follow from SOURCES: one more is a module here and its line."""

from agent.sources import alertmanager, events, grafana
from agent.sources.source import Source

SOURCES: tuple[Source, ...] = (alertmanager.SOURCE, grafana.SOURCE, events.SOURCE)
