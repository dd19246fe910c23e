"""Many replicas of NeuroLLM trained in lockstep on one device, for questions that need hundreds of runs.

Start reading at `fleet.Fleet` and `runs.train_runs`. Of the project only `training` is imported here, and of that
only what needs torch and numpy alone, because the experiments also run where nothing else is installed. `export.py` is
the exception.
"""
