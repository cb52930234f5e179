"""What an answer says in a sentence, and which answers say the same."""

from tables import every_row

from airflow_async_rest.core.letters.sentences import kind_of, sentence_of


@every_row(
    ("answer", "sentence"),
    [
        ("", ""),
        ("out of range", "out of range"),
        ("  two\n lines ", "two lines"),
        ('{"detail": "no such sensor"}', "no such sensor"),
        ('{"title": "Bad Request", "status": 400, "detail": "id is missing"}', "id is missing"),
        ('{"error": {"message": "value is out of range", "code": 7}}', "value is out of range"),
        ('{"error": "invalid_grant", "error_description": "it has expired"}', "it has expired"),
        ('{"errors": ["name is too long", "id is missing"]}', "name is too long"),
        ('{"detail": [{"loc": ["body", "id"], "msg": "field required", "type": "x"}]}', "field required"),
        ('{"error":{"root_cause":[{"type":"parsing","reason":"failed to parse [at]"}]},"status":400}', "failed to parse [at]"),
        ('{"Message": "Zugriff verweigert f\\u00fcr \\"x\\""}', 'Zugriff verweigert für "x"'),
        ('{"message": "cut off in the mid', "cut off in the mid"),
        ('{"message": "cut off \\u00', "cut off \\u00"),
        ('{"message": "half \\ud800 a pair"}', "half \ufffd a pair"),
        ('{"message": "cut off within \\ud83d', "cut off within \ufffd"),
        ('{"message": "whole \\ud83d\\ude00"}', "whole \U0001f600"),
        ('{"message": "", "code": "E17"}', "E17"),
        ('{"message": null}', '{"message": null}'),
        ("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        ("<fault><faultstring>no such\n sensor</faultstring></fault>", "no such sensor"),
        ("x" * 200, "x" * 159 + "…"),
    ],
)  # fmt: skip
def test_an_answer_says(answer, sentence):
    assert sentence_of(answer) == sentence


@every_row(
    ("answer", "kind"),
    [
        ('{"detail": "the sensor of reading 679 was withdrawn"}', "the sensor of reading … was withdrawn"),
        ("value 1.5e3 is above 10", "value … is above …"),
        ("no row with key 'a b' in \"x\"", "no row with key … in …"),
        ("2026-03-01T00:00:00Z is no date", "… is no date"),
        ("5", "…"),
        ("", ""),
        ("für  immer weg", "für immer weg"),
        ('{"message": "a/b is no path"}', "a/b is no path"),
        ("<p>not <b>this</b></p>", "not this"),
    ],
)
def test_answers_of_a_kind_say_the_same_but_for_what_varies(answer, kind):
    assert kind_of(answer) == kind


def test_a_long_answer_that_is_cut_off_is_of_the_same_kind():
    answers = [f'{{"message": "reading {number} is wrong: {"very " * 40}"}}'[:200] for number in (1, 99, 12345)]
    assert len({kind_of(answer) for answer in answers}) == 1
