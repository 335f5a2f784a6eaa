"""Verification: pairs to scores, and the field's measures computed exactly from them."""
