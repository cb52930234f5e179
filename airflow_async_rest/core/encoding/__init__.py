"""Values of databases -> JSON, and what APIs write -> values."""
