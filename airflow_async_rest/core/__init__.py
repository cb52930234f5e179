"""The engine: asyncio and aiohttp, without Airflow, so that it is tested and timed alone."""
