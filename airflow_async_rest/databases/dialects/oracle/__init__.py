"""Oracle, by oracledb."""
