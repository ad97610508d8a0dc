"""The simulated platform. A Simulation is a pure function of (scenario, seed, applied changes, horizon)."""
