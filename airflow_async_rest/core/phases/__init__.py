"""The phases of one try: what earlier ones left, what is sent, how it ends; and how it stands meanwhile."""
