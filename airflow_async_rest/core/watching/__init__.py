"""What a person, or a metric, sees of a job while it runs."""
