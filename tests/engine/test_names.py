from sampan.engine.containers import names


def test_generated_names_are_valid_and_free() -> None:
    taken: set[str] = set()
    for _ in range(500):
        name = names.generate(taken.__contains__)
        assert names.VALID.fullmatch(name)
        assert name not in taken
        taken.add(name)


def test_a_name_is_found_even_when_all_are_taken() -> None:
    asked = []

    def taken(name: str) -> bool:
        asked.append(name)
        return True

    assert names.generate(taken) not in asked


def test_names_of_one_letter_or_with_spaces_are_not_valid() -> None:
    assert not names.VALID.fullmatch("a")
    assert not names.VALID.fullmatch("-ab")
    assert not names.VALID.fullmatch("a b")
    assert names.VALID.fullmatch("web-1.x_y")
