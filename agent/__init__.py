"""Stanch. Importing this package has one effect: checkpoints are read strictly, so that a tampered row cannot run code."""

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
for _name in [n for n in os.environ if n.startswith(("LANGSMITH_", "LANGCHAIN_TRACING"))]:
    del os.environ[_name]  # nothing about an incident leaves for a tracing service
