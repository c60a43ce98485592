"""Models in folders: written by `bench model`, loaded as modules, applied to new images."""
