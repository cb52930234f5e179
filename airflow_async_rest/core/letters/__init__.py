"""Dead letters: a folder of parts, their records, and what is shown of them."""
