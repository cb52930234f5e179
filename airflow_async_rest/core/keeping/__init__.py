"""What outlives a try: dead letters, checkpoints, progress, and rows on their way into a database."""
