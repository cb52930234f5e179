"""Secrets in texts, however those spell them."""

import html
import html.entities
import json
import quopri
import textwrap
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.redaction import Redaction

SECRET = 'Zx9/qW+e=r7"T&kö'
NAMED = {
    character: name
    for name, character in html.entities.html5.items()
    if name in {"sol;", "plus;", "equals;", "quot;", "amp;"}
}


def quoted(text: str, times: int) -> str:
    return quoted(quote(text, safe=""), times - 1) if times else text


SPELLINGS = {
    "as it is": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, but for slashes": quote,
    "percent in lower case": lambda text: quote(text, safe="").lower(),
    "every byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent, of Latin-1": lambda text: quote(text, safe="", encoding="latin-1"),
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON, UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "PHP's JSON": lambda text: json.dumps(text).replace("/", "\\/"),
    "Gson's JSON": lambda text: (
        json.dumps(text).replace("=", "\\u003D").replace("&", "\\u0026").replace("+", "\\u002b")
    ),
    "JSON in JSON": lambda text: json.dumps({"said": json.dumps({"key": text})}),
    "JSON in a URL": lambda text: quote(json.dumps({"key": text})),
    "a URL in JSON": lambda text: json.dumps(
        "https://x/?next=" + quote("https://y/?k=" + quote(text, safe=""), safe="")
    ),
    "HTML": html.escape,
    "HTML in numbers": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML in hexadecimal numbers": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "HTML in names": lambda text: "".join(f"&{NAMED[one]}" if one in NAMED else one for one in text),
    "HTML in numbers, cut short": lambda text: "".join(f"&#{ord(character):07d}" for character in text),
    "HTML in JSON in a URL": lambda text: quote(json.dumps({"said": html.escape(text)}), safe=""),
    "percent, five times": lambda text: quoted(text, 5),
    "percent of JavaScript": lambda text: "".join(f"%u{ord(character):04x}" for character in text),
    "code points": lambda text: "".join(f"\\u{{{ord(character):x}}}" for character in text),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode("latin-1")),
    "mail": lambda text: quopri.encodestring(f"{'.' * 70}{text}".encode()).decode().lstrip(".=\n"),
    "mail, every byte": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, in groups": lambda text: text.encode().hex(" ", -4).upper(),
    "UTF-16": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "lines": "\r\n".join,
    "lines in JSON": lambda text: json.dumps("\n\t".join(text)),
    "tags": "<wbr/>".join,
    "tags in JSON": lambda text: json.dumps({"page": "<b class='x'>" + "</b> <b class='x'>".join(text)}),
    "soft hyphens": "\u00ad".join,
    "spaces of no width in JSON": lambda text: json.dumps("\u200b".join(text)),
    "base64 in lines": lambda text: "\n  ".join(textwrap.wrap(b64encode(text.encode()).decode(), 6)),
    "a representation": repr,
    "bytes": lambda text: repr(text.encode()),
    "capitals": lambda text: text.upper().replace("Ö", "ö"),
    "bytes that are not UTF-8": lambda text: text.encode("latin-1").decode("utf-8", "replace"),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(b64encode(text.encode()), safe=""),
    "base64 behind one byte": lambda text: b64encode(b":" + text.encode()).decode(),
    "base64 behind two, and more": lambda text: b64encode(b"me" + text.encode() + b"!").decode(),
}


@every_row("spelling", SPELLINGS)
def test_a_secret_is_found_however_it_is_spelled(spelling):
    spell = SPELLINGS[spelling]
    text = Redaction({SECRET}).redact(f"[{spell(SECRET)}]")
    assert "***" in text
    assert len(text) <= len(f"[{spell('')}]***") + len("abcd")  # of base64, its ends have some bits of its neighbours


@every_row("spelling", SPELLINGS)
def test_what_another_has_cut_off_a_secret_is_found_too(spelling):
    spell = SPELLINGS[spelling]
    secret = "the first half of it is kept, and " + SECRET
    redaction = Redaction({secret})
    whole = spell(secret)
    for shown in (whole[: len(whole) // 2 + 8], whole[len(whole) // 2 - 8 :]):
        assert len(redaction.redact(shown)) < len(shown) - len(whole) // 4


@given(
    secret=st.text(st.sampled_from("abcdeXYZ0189+/=-_.~ \"'&\\€ž😀"), min_size=10, max_size=30),
    place=st.integers(0, 30),
)
@example(secret="a+b/c=d-e_f&g", place=3)
def test_no_eight_characters_of_a_secret_are_left(secret, place):
    cut = secret[place:]
    redacted = Redaction({secret}).redact(f"<{cut}>")
    eight = [cut[start : start + 8] for start in range(len(cut) - 7)]
    assert not any(len(set(piece.lower())) > 4 and piece in redacted for piece in eight)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a ruled line ----------", "a ruled line ----------"),
        ("search-platform-production", "***"),
        ("the platform in production", "the platform in production"),
        ("SEARCH%2dplatform%2Dproduction", "***"),
    ],
)
def test_of_a_value_that_may_be_a_word_only_the_whole_is_taken_out(text, redacted):
    secrets = {"----------------"}
    assert Redaction(secrets, {"search-platform-production"}).redact(text) == redacted


@every_row(
    "secret", ["k%41b=2Fc&amp;d\\u0041/é", "ab%2541cd&#65;\\n/ef", "a <b> c\td\nef/ghi\\jk", "12345678901234567/8"]
)
@every_row("spell", [str, json.dumps, quote, html.escape, lambda text: json.dumps(quote(text, safe=""))])
def test_a_secret_that_looks_like_an_escape_or_a_tag_is_found(secret, spell):
    redacted = Redaction({secret}).redact(f"[{spell(secret)}]")
    assert redacted in {"[***]", '["***"]', '["***\\""]'}


@every_row(
    "text",
    [
        "the late state",  # "test", closed up
        "20240101 and 12345678, 0x3132333435363738",
        "a%20b &amp; c &unknown; =3D \\n &#0; \\u{ffffff} %zz \\U00110000 &#99999999;",
        "63 41 6e 34",
        "<p>application/json</p>",
        "write bearer",
        "a pass",
    ],
)
def test_what_is_no_secret_stays_as_it_is_spelled(text):
    values = {"jsonp</p>", " bearer ", "%62%65arer"}
    assert Redaction({"test", "k2024-0101/k", "1234.5678.90", "p a s s "}, values).redact(text) == text


def test_what_stands_around_a_secret_stays():
    secret = "q7Zk3vLw9Xp2mN8Rt5yB4"
    text = f"<b> {secret} </b>\n&lt;{secret[:12]}\n {secret[12:]}&gt; \0 {quote('/')}"
    assert Redaction({secret}).redact(text) == "<b> *** </b>\n&lt;***&gt; \0 /"


def test_what_becomes_known_later_is_taken_out_too():
    known = set()
    redaction = Redaction({"the-first-one"}, {"a-value"}, lambda: frozenset(known))
    text = "the-first-one a-value sec%2Fond second third"
    assert redaction.redact(text) == "*** *** sec%2Fond second third"
    known.add("sec/ond")
    assert redaction.redact(text) == "*** *** *** second third"
    known.add("third")
    assert redaction.redact(text) == "*** *** *** second ***"


def test_a_short_secret_is_taken_out_whole():
    assert Redaction({"pa55"}).redact("pa55, pa5") == "***, pa5"


@every_row("before", range(180, 202))
def test_an_excerpt_is_cut_when_the_secrets_are_out(before):
    secret = "q7Zk-3vLw9-Xp2mN8-Rt5yB4"
    for characters in (200, 500):
        text = "." * (before + characters - 200) + secret + "?" * 10_000
        excerpt = Redaction({secret}).excerpt(text, characters)
        assert len(excerpt) == characters
        assert not set(excerpt) - set(".*?")


def test_a_long_secret_on_the_edge_of_what_is_looked_at_leaves_no_piece():
    secret = "".join(f"{number:x}." for number in range(9_000, 12_000))
    assert set(Redaction({secret}).excerpt("-" + secret, 500)) <= set("-*")


def test_texts_within_json_are_looked_at_names_and_all():
    value = {"s3cret-name": [1, None, {"a": "is s3cret-name"}, "b"]}
    assert Redaction({"s3cret-name"}).redact_all(value) == {"***": [1, None, {"a": "is ***"}, "b"]}


def test_a_text_without_end_is_cut():
    text = "a\\u0041" * 100_000 + "s3cret-at-the-end"
    redacted = Redaction({"s3cret-at-the-end"}).redact(text)
    assert (len(redacted), redacted) == (200_000, text[:200_000])


def test_what_is_learnt_later_is_taken_out_from_then_on_and_the_last_few_are_known():
    redaction = Redaction(["f1rst-secret"])
    assert redaction.redact("f1rst-secret t0ken-of-later") == "*** t0ken-of-later"
    redaction.learn(["t0ken-of-later"])
    assert redaction.redact("f1rst-secret t0ken-of-later 0ken-of-l") == "*** *** ***"
    for number in range(20):
        redaction.learn([f"<{number:08d}>", "t0ken-of-later"])
        assert redaction.redact(f"t0ken-of-later <{number:08d}>") == "*** ***"
    assert redaction.redact("f1rst-secret t0ken-of-later <00000019> <00000000>") == "*** *** *** <00000000>"
