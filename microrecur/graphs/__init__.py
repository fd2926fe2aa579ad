"""The reading view of a recorded computation."""
