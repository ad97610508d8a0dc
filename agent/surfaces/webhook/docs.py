"""/docs: the OpenAPI document as one page without scripts, fonts or styles from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from agent.surfaces.webhook.security_headers import HEADERS

STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{overflow:auto;padding:.5rem;background:#8881}code{font-family:ui-monospace,monospace}"
_SUM = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"{HEADERS['Content-Security-Policy']}; style-src 'sha256-{_SUM}'"
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title><style>{{ style }}</style></head>
<body>
<h1>{{ title }}</h1>
<p>As <a href="openapi.json">openapi.json</a>, for tools.</p>
{% for path, operations in paths.items() %}{% for method, told in operations.items() %}
<h2><code>{{ method | upper }} {{ path }}</code></h2>
<p>{{ told.description or told.summary }}</p>
<p>{{ "Needs a token, or the source's signature." if told.security else "Open to anyone." }}</p>
{% for media, body in (told.requestBody or {}).get("content", {}).items() %}
<details><summary>Body: {{ media }}</summary><pre>{{ body.schema | shown }}</pre></details>
{% endfor %}
<ul>{% for status, answer in told.responses.items() %}<li><code>{{ status }}</code> {{ answer.description }}</li>{% endfor %}</ul>
{% endfor %}{% endfor %}
<h2>Shapes</h2>
{% for name, shape in shapes.items() %}<details><summary><code>{{ name }}</code></summary><pre>{{ shape | shown }}</pre></details>
{% endfor %}
</body>
</html>
"""


def page(document: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI document; every text in it is escaped."""
    pages = Environment(autoescape=True, undefined=StrictUndefined)
    pages.filters["shown"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    paths = {
        path: {
            method: {"description": "", "summary": "", "security": [], "requestBody": None, **told}
            for method, told in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    shapes = document.get("components", {}).get("schemas", {})
    return pages.from_string(_PAGE).render(title=document["info"]["title"], style=STYLE, paths=paths, shapes=shapes)
