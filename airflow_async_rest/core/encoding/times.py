"""Times as APIs write them: ISO 8601, the form of mails and HTTP, and zones by their names."""

import re
from datetime import datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

# Abbreviations as PostgreSQL reads them by default: hours before Greenwich, at any time of the year.
_HOURS = {
    **dict.fromkeys(("Z", "UT", "UTC", "GMT", "WET"), 0),
    **dict.fromkeys(("BST", "CET", "WEST"), 1),
    **dict.fromkeys(("CEST", "EET", "SAST"), 2),
    **dict.fromkeys(("EEST", "MSK"), 3),
    **dict.fromkeys(("HKT", "SGT"), 8),
    **dict.fromkeys(("JST", "KST"), 9),
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "ADT": -3,
    "AST": -4,
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
# A time, and behind it how far its zone is from Greenwich, or the zone's name; in brackets that may follow an offset.
_OFFSET = re.compile(
    r"(?P<time>.*:\d\d[\d.,]*)\s*(?:(?i:GMT|UTC))?(?P<sign>[+-])(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?"
)
_COMMENT = re.compile(r"\s*\((?!(?i:BC)\))[^()]*\)$")  # but for DuckDB's era
_NAMED = re.compile(r"(?P<time>.*\d)\s*(?:\[(?P<bracketed>[\w/+-]+)\]|(?<=[\d\s])(?P<name>[A-Za-z][\w/+-]*))")
_WORD = re.compile(r"[A-Za-z]+")
_DAY_AND_MONTH = re.compile(r"(?i:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*")
_DASHES = re.compile(r"(?<=\d)-([A-Za-z]{3})-(?=\d)")  # 01-Nov-26, as HTTP wrote dates


def parse_time(text: str) -> datetime | None:
    """Read a time. :return: None when it is not one, or is in an unknown zone."""
    text = _COMMENT.sub("", text.strip())
    if (time := _parse_plain(text)) is not None:
        return time
    zone: tzinfo | None
    if found := _OFFSET.fullmatch(text):
        time = _parse_plain(found["time"])
        away = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
        zone = timezone(away if found["sign"] == "+" else -away) if away < timedelta(days=1) else None
    elif found := _NAMED.fullmatch(text):
        time = parse_time(found["time"])
        zone = (time and time.tzinfo) or _zone(found["bracketed"] or found["name"])
    else:
        return None
    return time.replace(tzinfo=zone) if time is not None and zone is not None else None


def _parse_plain(text: str) -> datetime | None:
    """Read a time as ISO 8601, or as in a mail without its zone: one that it does not know would be none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    words = _WORD.findall(text)
    if not words or not text[-1:].isdigit() or _OFFSET.fullmatch(text):
        return None
    try:
        time = parsedate_to_datetime(_DASHES.sub(r" \1 ", text))
    except (ValueError, TypeError, IndexError):
        return None
    # What it does not know, such as PM or EET, it leaves out.
    return time if time.tzinfo or all(map(_DAY_AND_MONTH.fullmatch, words)) else None


def _zone(name: str) -> tzinfo | None:
    if (hours := _HOURS.get(name.upper())) is not None:
        return timezone(timedelta(hours=hours))
    try:
        return ZoneInfo(name) if "/" in name else None
    except (KeyError, ValueError, OSError):  # OSError: such as a folder of zones
        return None
