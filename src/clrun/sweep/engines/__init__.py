"""What starts the workers of a sweep: on this machine, or on others through Slurm or Ray.

An engine knows nothing of jobs. It runs `clrun worker SWEEP` so many times, starts again what was
taken from it, and says where its workers are. Nothing of a job passes through it.
"""
