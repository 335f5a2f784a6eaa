"""Many runs at once: each in a process of its own with a device of its own, on one machine or on a cluster."""
