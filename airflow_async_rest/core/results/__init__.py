"""What the answer to a bulk request says of each of its items."""
