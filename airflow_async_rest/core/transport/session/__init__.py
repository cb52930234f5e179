"""What aiohttp's session sends. Imported where one is opened, and nowhere before: aiohttp takes 60 ms to import."""
