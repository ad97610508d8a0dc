"""What hypothesis chooses from: people, policies, proposals, how a target takes them and what comes between."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from agent.domain.catalog import Person
from tests.gate.world import ANN, BOB, CEM, DORA, EVE
from tests.proofs.model import SEEN, Rules

ANN_IN_CHAT = Person("slack:T1/U1", "ann")
AGENT, NOBODY = Person("openai", "ann", ("oncall",)), Person("os:zoe", None, ("oncall",))
PEOPLE = (ANN, BOB, CEM, DORA, EVE, ANN_IN_CHAT, AGENT, NOBODY)
KINDS = ("set_replicas",) * 4 + ("restart", "probed", "blind", "blind_probed", "create", "destroy", "nowhere")
MODES = ("well", "dark", *SEEN)
COMES_BETWEEN = ("nothing", "nothing", "stop", "policy", "leave", "version", "by hand", "late", "revoke", "takeover")

rules_of_today = st.builds(
    Rules,
    verdict=st.sampled_from(("ask",) * 5 + ("allow",) * 3 + ("suggest", "shadow", "deny")),
    approvers=st.sampled_from((("oncall",), ("oncall",), ("oncall", "leads"), ("leads",))),
    quorum=st.sampled_from((1, 1, 1, 2)),
    requester_may=st.booleans(),
    most=st.sampled_from((None, None, None, 6)),
    untrusted=st.sampled_from(("deny", "two_people")),
    frozen=st.sampled_from((False,) * 7 + (True,)),
    switched_off=st.sampled_from((False,) * 7 + (True,)),
    per_hour=st.sampled_from((None, None, None, 1, 2)),
    per_target=st.sampled_from((None, None, None, 1)),
)
willing = st.builds(
    Rules,
    verdict=st.sampled_from(("ask", "ask", "ask", "allow")),
    quorum=st.sampled_from((1, 1, 2)),
    requester_may=st.booleans(),
    untrusted=st.sampled_from(("deny", "two_people")),
    per_hour=st.sampled_from((None, None, None, 1)),
    per_target=st.sampled_from((None, None, None, 1)),
)
which = st.integers(0, 5)
PROPOSED: dict[str, Any] = {
    "kind": st.sampled_from(KINDS),
    "replicas": st.integers(1, 9),
    "workload": st.sampled_from(("web", "web", "api")),
    "requester": st.sampled_from((None, "ann", "bob")),
    "untrusted": st.sampled_from((False,) * 5 + (True,)),
    "approvers": st.integers(0, 3),
    "twice": st.sampled_from((False, False, False, True)),
}
people = st.sampled_from(PEOPLE)
