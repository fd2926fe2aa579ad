"""Where the gradient goes: paths through the recorded graph."""
