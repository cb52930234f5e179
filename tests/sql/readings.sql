-- rendered with Jinja, then bound: {{ params.index }}
SELECT i AS id, CAST(:window_start AS timestamptz) AS since
FROM generate_series(1, 50) AS i
WHERE i >= CAST(:smallest AS integer)
ORDER BY i
