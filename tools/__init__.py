"""Tools: what a reasoner may look at, and what may be done once it is approved. `tools.listing` lists them all."""
