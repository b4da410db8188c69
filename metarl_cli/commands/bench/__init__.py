"""`metarl bench`: how fast environments and training iterations are, beside what limits them."""
