"""Pickles read as data: records, values, tensors and networks; nothing in them is executed."""
