"""A request until it is settled: sent, judged, and sent again as often as that helps."""
