"""PostgreSQL and Redis as places where tasks keep what they share: how they are reached, and what their errors mean."""
