"""What was delivered before is called `deliveries`: a signal is a measurement of the platform."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.rename_table("signals", "deliveries")
