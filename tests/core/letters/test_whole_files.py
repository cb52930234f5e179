"""What is a file of this machine, and what is one of object storage."""

from pathlib import Path

import pytest

from airflow_async_rest.core.letters.whole_files import is_local, make_folder, write_whole


class OldObjectStoragePath(Path):
    """As Airflow has it before 3.2: a ``Path`` that is not on this machine, and allows nothing that only a disk can."""

    def __new__(cls, files):
        self = object.__new__(cls)
        self.files = files
        return self

    def __init__(self, files):
        pass

    def mkdir(self, *, parents, exist_ok):
        self.files["folder"] = (parents, exist_ok)

    def write_bytes(self, data):
        self.files["file"] = data

    def chmod(self, mode):
        raise NotImplementedError


def test_a_path_of_object_storage_that_is_a_path_is_written_as_such():
    remote = OldObjectStoragePath(files := {})
    assert not is_local(remote)
    make_folder(remote)
    assert write_whole(remote, b"whole")
    assert files == {"folder": (True, True), "file": b"whole"}


@pytest.mark.parametrize("path", [Path("x"), Path("/x"), Path("/x") / "y"])
def test_what_path_makes_is_local(path):
    assert is_local(path)
