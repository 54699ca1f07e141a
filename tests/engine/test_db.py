import sqlite3
from pathlib import Path

import pytest

from sampan.engine.db import VERSION, Database, TooNew


def insert_volume(db: Database, name: str) -> None:
    db.execute("insert into volumes values (?, 'local', '', '{}', '{}', 0)", (name,))


def test_a_failed_transaction_leaves_nothing() -> None:
    db = Database(":memory:")
    with pytest.raises(ZeroDivisionError), db.transaction():
        insert_volume(db, "one")
        with db.transaction():
            insert_volume(db, "two")
        raise ZeroDivisionError
    assert db.rows("select * from volumes") == []
    with db.transaction(durable=True):
        insert_volume(db, "three")
    assert db.value("select name from volumes") == "three"
    db.close()


def test_a_volume_in_use_cannot_go() -> None:
    db = Database(":memory:")
    insert_volume(db, "data")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("insert into mounts values ('nobody', 'data', '/data')")
    db.close()


def test_a_database_of_a_newer_sampan_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "sampan.db")
    db = Database(path)
    db.execute(f"pragma user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(TooNew, match="newer sampan"):
        Database(path)


def test_what_was_committed_is_there_again(tmp_path: Path) -> None:
    path = str(tmp_path / "sampan.db")
    db = Database(path)
    insert_volume(db, "data")
    db.close()
    again = Database(path)
    assert again.value("select name from volumes") == "data"
    assert again.integrity() == []
    again.close()


def test_images_of_an_older_sampan_are_known_without_the_time_of_a_build(tmp_path: Path) -> None:
    path = str(tmp_path / "sampan.db")
    db = Database(path)
    for column in ("made", "built"):
        db.execute(f"alter table images drop column {column}")
    db.execute("insert into images (id, manifest, config, created) values ('a', 'b', '{}', '')")
    db.execute("pragma user_version = 4")
    db.close()
    again = Database(path)
    row = again.row("select made, built from images where id = 'a'")
    assert row is not None and tuple(row) == (None, None)
    again.close()
