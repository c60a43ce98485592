"""Task files of tasks that are small enough to run many times."""

RECIPE = """[recipe]
pretrain_optimiser = "adam"
pretrain_lr = 2e-3
pretrain_epochs = 1
optimiser = "adam"
lr_extractor = 1e-3
lr_head = 1e-2
epochs = {epochs}
epsilon = 0.1
batch = {batch}
"""
"""One epoch of pre-training, by Adam."""
AGE = 'column = "age"\nabove = 65\nnames = ["up to 65", "over 65"]'
SEX = 'column = "female"\nnames = ["male", "female"]'

CHEST = """
name = "{name}"
says = "a small phantom"
folds = 2
image_size = 32
channels = 1
crop = "none"

[source]
dataset = "phantom:family=chest,hospital=source,images={images},size=32"
[ood.ood_neutral]
dataset = "phantom:family=chest,hospital=ood_neutral,images=100,size=32"
[ood.ood_reversed]
dataset = "phantom:family=chest,hospital=ood_reversed,images=100,size=32"
[label]
column = "pneumothorax"
names = ["no finding", "pneumothorax"]
[attribute]
{attribute}
""" + RECIPE.format(epochs=2, batch=32)
"""Films of phantoms: `name`, `images` and the lines of `attribute` are to be filled in."""
