"""What became of each row: the account, its report, its checkpoint, and the judgment at the end."""
