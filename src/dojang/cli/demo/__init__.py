"""The main job, live: real processes, real traffic, and figures of this machine."""
