"""What commands are put together from."""
