"""Cells as SLURM jobs: profiles, submissions, the queue, and what a job does.

The files of the results are the truth, SLURM is a way of starting processes. submitit writes the sbatch text from the
profile's keys and knows which there are. What it would do besides is left out, because it loses work: it pickles the
call and renames the pickle after sbatch has answered, so that a head that dies in between kills a whole array; it
asks `sacct` for every job; it submits one array however long. Here a job is
`python -m bench.run.launchers.slurm.worker FILE`, and FILE holds names.
"""
