"""Who counts as a person: whoever a surface has verified, and nobody that only has a name."""

from __future__ import annotations

import pytest

from agent.domain.catalog import file_type, from_file
from agent.domain.people import is_person


@pytest.mark.parametrize("principal", ["os:ann", "slack:T1/U1"])
def test_whoever_a_surface_has_verified_is_a_person(principal: str) -> None:
    assert is_person(principal)


@pytest.mark.parametrize(
    "principal", ["", "ann", "os", "os:", ":ann", "agent:ann", "stanch", "demo:--approve", "OS:ann"]
)
def test_nobody_else_is_one(principal: str) -> None:
    assert not is_person(principal)


def test_one_person_is_the_same_by_each_identity_that_the_catalog_names() -> None:
    ann = {"os_user": "ann", "slack": {"team": "T1", "user": "U1"}}
    catalog = from_file(file_type().model_validate({"people": {"ann": ann, "bob": {}}, "groups": {"on-call": ["ann"]}}))
    for principal in ("os:ann", "slack:T1/U1"):
        assert (catalog.person(principal).name, catalog.person(principal).groups) == ("ann", ("on-call",))
    for principal in ("os:U1", "slack:ann", "slack:T1/U2", "slack:T2/U1", "os:None", "slack:None"):
        assert catalog.person(principal).name is None
