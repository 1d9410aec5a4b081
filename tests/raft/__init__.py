"""The consensus core: tables, scenarios from the dissertation, and simulated clusters."""
