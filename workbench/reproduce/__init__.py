"""Reproduce a run from its record: what differs now, the code as it was, and whether the curve matches."""
