"""A task file that ends where its attribute begins."""

TOML = """
image_size = 8
channels = 1
[source]
dataset = "phantom:images=200"
[ood.other]
dataset = "phantom:images=50,hospital=ood_neutral"
[label]
column = "pneumothorax"
names = ["no", "yes"]
[attribute]
"""
