"""Runs: from a task and methods to stored cells. `run_task` is what `bench run` calls."""
