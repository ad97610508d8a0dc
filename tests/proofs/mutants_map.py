"""Mutants of the platform map: two things taken for one, forbidden taken for empty, a secret read, a name that means another."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

MAP, SETTLE, EDGES = "agent/platform/platform_map.py", "agent/platform/settle.py", "agent/platform/kubernetes_edges.py"
ASKED, ADDRESSES = "agent/platform/map_of_kubernetes.py", "agent/platform/addresses.py"
OF_MAP, OF_KUBERNETES = "tests/platform/test_platform_map.py", "tests/platform/test_map_of_kubernetes.py"

MUTANTS = (
    Mutant(
        "several clusters are taken for the first",
        "map",
        SETTLE,
        'Known(clusters.pop() if len(clusters) == 1 else "")',
        'Known(clusters.pop() if clusters else "")',
        OF_MAP,
    ),
    Mutant(
        "an owner guessed from a name counts beside the one that is told",
        "map",
        SETTLE,
        "if sources and (kind is not EdgeKind.OWNS or min(map(_rank, sources)) == best[target])",
        "if sources",
        OF_MAP,
    ),
    Mutant(
        "a node is the same thing as its pods",
        "map",
        MAP,
        "_SAME = frozenset({EdgeKind.SELECTS, EdgeKind.OWNS})",
        "_SAME = frozenset({EdgeKind.SELECTS, EdgeKind.OWNS, EdgeKind.RUNS_ON})",
        OF_MAP,
    ),
    Mutant(
        "what may not be listed is empty",
        "map",
        ASKED,
        "        if one.why:\n",
        "        if one.why and one.namespace:\n",
        OF_KUBERNETES,
    ),
    Mutant(
        "of secrets everything is asked for",
        "map",
        ASKED,
        'Resource("Secret", "", "v1", "secrets", metadata_only=True,',
        'Resource("Secret", "", "v1", "secrets",',
        OF_KUBERNETES,
    ),
    Mutant(
        "a machine owns its static pods",
        "map",
        EDGES,
        'if told is None or told[0] == "Node":',
        "if told is None:",
        OF_KUBERNETES,
    ),
    Mutant(
        "a password with an @ is read as a host",
        "map",
        ADDRESSES,
        'hosts.rpartition("@")[2].split(",")',
        'hosts.partition("@")[2].split(",")',
        OF_KUBERNETES,
    ),
)
