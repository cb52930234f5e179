"""What the server's numbers mean. The driver has one class, OperationalError, for most of them.

From the manuals: "Server Error Message Reference" of MySQL, "MariaDB Error Codes".
"""

# The driver's own, of a connection that failed or ended; but for those that another try of the same cannot change:
# 2054, 2059 and 2061 (a way to sign in that it does not know), 2049 (one that is too old).
CLIENT_CODES = range(2000, 3000)
_WRONG_CLIENT_CODES = frozenset({2049, 2054, 2059, 2061})

# 1020, 1412: changed since it was read; 1021, 1114: full, until somebody makes room; 1030, 1180: of the storage engine;
# 1028, 1317, 1927, 3168: interrupted, killed; 1037, 1038, 1041: out of memory; 1040, 1129, 1135, 1203, 1226: too many
# connections; 1047: not part of its cluster yet; 1053, 1077, 1079: shutting down; 1158 to 1161, 1184, 4031: broken off;
# 1205, 1206, 1213, 1614, 1689, 3058, 3572: locks; 1615: to be prepared again; 1969, 3024: took too long.
_PASSING = frozenset({
    1020, 1021, 1028, 1030, 1037, 1038, 1040, 1041, 1047, 1053, 1077, 1079, 1114, 1129, 1135, 1158, 1159, 1160, 1161,
    1180, 1184, 1203, 1205, 1206, 1213, 1226, 1317, 1412, 1614, 1615, 1689, 1927, 1969, 3024, 3058, 3168, 3572, 4031,
})  # fmt: skip

# 1048, 1263, 1364: no value; 1062, 1169, 1557, 1586, 1761, 1762: a key that is there; 1118, 1406: too long; 1216, 1217,
# 1451, 1452: a foreign key; 1261, 1262, 1264, 1265, 1292, 1300, 1366, 1367, 1411, 1441, 1525, 1690: no such value of
# the type; 1139, 1172, 1242, 1339, 1365: what a trigger, a CHECK or a generated column makes of it; 1369: a view's
# check; 1416, 3037, 3516, 3548, 3617: geometry; 1526, 1748: no partition; 1642 to 1644: raised by a trigger; 3140,
# 3141, 3143, 3144, 3156, 3157, 3903, 4037, 4038: JSON; 3819, 4025: a CHECK; 4078: of a type that
# is not cast, as a number for a UUID.
REFUSALS = frozenset({
    1048, 1062, 1118, 1139, 1169, 1172, 1216, 1217, 1242, 1261, 1262, 1263, 1264, 1265, 1292, 1300, 1339, 1364,
    1365, 1366, 1367, 1369, 1406, 1411, 1416, 1441, 1451, 1452, 1525, 1526, 1557, 1586, 1642, 1643, 1644, 1690,
    1748, 1761, 1762, 3037, 3140, 3141, 3143, 3144, 3156, 3157, 3516, 3548, 3617, 3819, 3903, 4025, 4037, 4038,
    4078,
})  # fmt: skip

# The servers' own end below; SIGNAL ... SET MYSQL_ERRNO of a trigger may say any.
_FIRST_OF_AUTHORS = 10_000

FORBIDDEN = frozenset({1044, 1142, 1143, 1227, 1370})
# 1049: no such database; 1130: not from this host; 1524, 1698: how it signs in; 1820, 1862: a password to be changed;
# 3118, 4151: locked.
LOGIN_REFUSED = frozenset({1044, 1045, 1049, 1130, 1251, 1524, 1698, 1820, 1862, 3118, 4151}) | _WRONG_CLIENT_CODES
# A transaction, a session, or a whole server that may only read.
READ_ONLY = frozenset({1290, 1792, 1836})
# LOAD DATA LOCAL, which the server or the client has been told not to allow.
NO_LOCAL_FILES = frozenset({1148, 2068, 3948, 4166})
# Of a function, a procedure or a savepoint.
_NOT_THERE = 1305

# Of TLS: broken off, or not as it was asked for.
_TLS = 2026
_OF_CERTIFICATES = ("certificate", "SSL is required", "No such file", "hostname")


def is_of_certificates(code: int | None, message: str) -> bool:
    """Return whether there can be no TLS as it was asked for, so that trying again changes nothing."""
    return code == _TLS and any(words in message for words in _OF_CERTIFICATES)


def passes_by_itself(code: int) -> bool:
    """Return whether the same statement may be right a little later."""
    return code in _PASSING or (code in CLIENT_CODES and code not in _WRONG_CLIENT_CODES)


def refuses_a_row(code: int | None) -> bool:
    """Return whether it is about a row's values."""
    return code is not None and (code in REFUSALS or code >= _FIRST_OF_AUTHORS)


def is_after_deadlock(code: int, message: str) -> bool:
    """Return whether a savepoint is gone: a deadlock has undone the whole transaction, and its own error is hidden."""
    return code == _NOT_THERE and "SAVEPOINT" in message
