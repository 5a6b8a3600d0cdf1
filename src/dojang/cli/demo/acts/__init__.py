"""The acts: what is done, what is measured, and what has to hold. Each is played on a `Stage`."""
