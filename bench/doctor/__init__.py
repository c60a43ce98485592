"""`bench doctor`: checks of the data of a task or dataset before anything is computed on them.

It reads what a run would read, with the same plugins and rules, and reports as findings what a run would refuse.
"""
