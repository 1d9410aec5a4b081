"""What goes wrong in a run: kinds of faults, who draws them, and which a profile has."""
