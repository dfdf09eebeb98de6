"""What starts workers on other machines: Slurm, through submitit, and Ray.

An engine knows nothing of jobs. It runs `clrun worker SWEEP` so many times, starts again what was
taken from it, and says where its workers are. Nothing of a job passes through it.
"""
