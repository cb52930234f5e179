"""Values as drivers give them -> values that JSON has."""
