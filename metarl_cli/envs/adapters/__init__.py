"""The environments as gymnasium knows them."""
