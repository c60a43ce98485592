"""Results that leave the house: what is bundled, how it is read elsewhere, and two sites in one report."""
