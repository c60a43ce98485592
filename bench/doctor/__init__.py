"""`bench doctor`: what is wrong with data before anything is computed on them.

It reads what a run would read, with the same plugins and the same rules, and turns what they refuse into findings.
"""
