"""Where dead letters are kept, and who may read them."""

from pathlib import Path

import pytest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import RESET
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.tasks.run_life import Life
from airflow_async_rest.tasks.storage.folders import (
    TaskScope,
    dead_letter_base,
    file_mode,
    open_dead_letters,
    open_folder,
    storage_uri,
)

LETTER = DeadLetter.of(Item(0, 0, {}, {}), "http_422")


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("AIRFLOW_HOME", "/airflow")
    monkeypatch.delenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", raising=False)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/x", "file:///x"),
        ("/x/", "file:///x"),
        ("file:///x/y", "file:///x/y"),
        ("file:/x", "file:///x"),
        ("file://localhost/x", "file:///x"),
        ("FILE:///x", "file:///x"),
        ("~/x", "file:///home/ann/x"),
        ("  /x\n", "file:///x"),
        ("/a b/c", "file:///a b/c"),
        (Path("/x"), "file:///x"),
        ("s3://conn@bucket/x/", "s3://conn@bucket/x"),
        ("gs://bucket", "gs://bucket"),
        ("sftp://conn@host:22/a:b", "sftp://conn@host:22/a:b"),
        ("/a:b@c", "file:///a:b@c"),
        ("file:///a:b@c", "file:///a:b@c"),
        ("~/a:b@c", "file:///home/ann/a:b@c"),
        ("s3://bucket/a@b:c", "s3://bucket/a@b:c"),
        *[(empty, "file:///airflow/async_rest/dead_letters") for empty in (None, "", " ")],
    ],
)
def test_a_folder_is_named_in_whatever_way_is_clear(path, uri):
    assert dead_letter_base(path) == uri


WRONG = [
    *("x", "./x", "../x", "x/y", "None", "file:x", "file://x", "file://~/x", "file://host/x", "file:", "file://"),
    *(
        "s3:/x",
        "s3:x",
        "s3://",
        "s3:///x",
        "C:\\x",
        "C:/x",
        "file://C:/x",
        "~nobody-of-this-name/x",
        *("/", "//", "file:///", "s3://conn@", "s3://conn@/x"),
        "/x\0y",
        "$HOME/x",
    ),
    *(5, ["/x"], True),
]


@pytest.mark.parametrize("path", WRONG)
def test_any_other_way_is_refused_with_words(path, monkeypatch):
    with pytest.raises(
        ConfigurationError, match=r"^dead_letter_path=.*: write an absolute path such as '/opt/"
    ) as error:
        dead_letter_base(path)
    assert repr(path) in str(error.value)
    if isinstance(path, str) and "\0" not in path and "$" not in path:  # which Airflow replaces in its settings
        with pytest.raises(ConfigurationError, match=r"^dead_letters="):
            open_dead_letters(path)
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", path)
        with pytest.raises(ConfigurationError, match=r"^\[async_rest\] dead_letter_path="):
            dead_letter_base()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://user:s3cret@bucket/x",
        "gs://:s3cret@bucket",
        "sftp://user:s3cret@host:22/x",
        "s3://user:s3/cret@bucket/x",
        "s3://user:/s3/cret/@bucket",
        "s3://me@there:s3/cret@bucket/x",
        "s3://user:s3@cr/et@bucket/x",
        "s3://user:s3?cr#et@bucket/x",
        "s3://user:s3\ncret@bucket/x",
        "s3://user:s3\0cret@bucket/x",
        "s3://user/1:s3cret@bucket/x",
        "s3:/user:s3/cret@bucket/x",
        "s3:user:s3cret@bucket/x",
        "user:s3cret@bucket/x",
        "s_3://user:s3cret@bucket/x",
        "file://user:s3cret@host/x",
    ],
)
def test_a_password_in_a_folders_uri_is_refused_and_not_shown(uri):
    with pytest.raises(ConfigurationError, match=r"^dead_letter_path has a password in its URI.*://conn_id@") as error:
        dead_letter_base(uri)
    assert "s3" not in str(error.value).replace("s3://conn_id@", "")


def test_nothing_lands_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in (f"file:{tmp_path}/x", f"file://localhost{tmp_path}/x"):
        open_folder(uri, 1).write([LETTER])
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*.jsonl"))] == [
        "x/1-1.jsonl",
        "x/1-2.jsonl",
    ]


IDS = [
    "..",
    ".",
    "[x]*",
    "a?b",
    "a/../../b",
    "/etc",
    "...",
    "a%2Fb",
    "a\\b",
    "manual__2026-11-01T00:00:00+00:00",
    "group.task",
    *("a:b@c", "a::b", "a:%3Ab", "a:::b", "ab", "a\tb", "a\nb", "a\r\x7fb"),
]


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id"])
def test_no_id_leads_out_of_the_base_folder(name, field, tmp_path):
    scope = TaskScope(**{"dag_id": "dag", "run_id": "run", "task_id": "task", field: name})
    folder = Path(scope.folder_uri(str(tmp_path)).removeprefix("file://"))
    assert len(folder.parts) == len(tmp_path.parts) + 4
    assert not {".", ".."} & set(folder.parts)


def test_each_id_has_a_folder_of_its_own_and_usual_ones_are_as_they_are_called():
    uris = {TaskScope(run_id=name).folder_uri("/base") for name in [*IDS, "%2E%2E", "%2E", "a%2F..%2F..%2Fb", "a%5Cb"]}
    assert len(uris) == len(IDS) + 4
    assert all(storage_uri("x", uri.replace("file:/", "s3://bucket")) for uri in uris)
    assert "file:///base/no_dag/manual__2026-11-01T00:00:00+00:00/no_task/-1" in uris
    assert TaskScope(life=Life("a mark")).folder_uri("/base") == "file:///base/no_dag/no_run/no_task/-1/a mark"


LONG = ["d" * 250, "\N{GREEK SMALL LETTER ALPHA}" * 250, "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 300, "a/" * 150, "." * 300]


@pytest.mark.parametrize("name", LONG)
def test_an_id_that_is_longer_than_a_folders_name_may_be_has_a_folder_all_the_same(name, tmp_path):
    uris = [TaskScope(run_id=each).folder_uri(str(tmp_path)) for each in (name, name + "x", name)]
    for uri in uris:
        open_folder(uri, 1).write([LETTER])
    assert uris[0] == uris[2] != uris[1]
    assert open_dead_letters(uris[0])[0].read() == {0: "http_422"}


@pytest.mark.parametrize(
    ("text", "mode"), [("", 0o600), ("0600", 0o600), ("640", 0o640), ("0o644", 0o644), (" 0660 ", 0o660)]
)
def test_the_mode_of_files_is_a_setting(text, mode, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__FILE_MODE", text)
    assert file_mode() == mode
    open_folder(str(tmp_path / "x"), 1).write([LETTER])
    assert (tmp_path / "x" / "1-1.jsonl").stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("text", ["0400", "0755", "600.", "rw-r--r--", "0888", "4600", "0", "-600", "0606060"])
def test_what_is_no_mode_is_refused(text, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__FILE_MODE", text)
    with pytest.raises(ConfigurationError, match=rf"\[async_rest\] file_mode='{text}': write 0600"):
        open_folder(str(tmp_path))


def test_a_task_instances_folder_is_that_of_its_runs_one_life(tmp_path):
    marks = ["20261101T000000Z-00000000", "20261102T000000Z-00000000"]
    for mark, count in zip(marks, (1, 2), strict=True):
        open_folder(f"{tmp_path}/{mark}", 1).write([LETTER] * count)
        if mark == marks[0]:
            assert len(list(open_dead_letters(str(tmp_path))[0].iter_records())) == 1
    with pytest.raises(ConfigurationError, match=f"made 2 times: choose among .*{marks[0]}, .*{marks[1]}"):
        open_dead_letters(str(tmp_path))


def test_a_folder_that_is_named_in_several_ways_is_opened_once(tmp_path):
    life = tmp_path / "20261101T000000Z-0123abcd"
    open_folder(str(life), 1).write([LETTER])
    names = [str(life), f"{life}/", f"file:{life}", f"file://localhost{life}", str(tmp_path), f"file://{tmp_path}/"]
    [folder] = open_dead_letters(*names)
    assert folder.read() == {0: "http_422"}


def test_a_broken_list_of_parts_is_no_reason_to_refuse_a_task_its_folder(tmp_path):
    open_folder(str(tmp_path), 1).write([LETTER])
    (tmp_path / "parts.json").write_text("")
    folder = open_folder(str(tmp_path), 2)
    folder.write([RESET])
    assert folder.read() == {}


def test_storage_is_named_by_its_argument():
    with pytest.raises(ConfigurationError, match=r"^dead_letters 'nosuch://bucket' cannot be used"):
        open_dead_letters("nosuch://bucket")
    assert storage_uri("x", "/y") == "file:///y"
