"""From stored cells to what people read: the tables, notes and figures of one task, reproducible byte for byte."""
