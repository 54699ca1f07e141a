import pytest

from tests.conformance.test_oci_runtime import SOURCE, Runtime
from tests.runtime.security import cves, hardening, harness

assert cves and hardening  # they register their rules
RULES = [pytest.param(rule, id=rule.name.replace(" ", "-")) for rule in harness.RULES]


@pytest.fixture
def build(tmp_path):
    """Makes a runtime of an edited source; removes its containers."""
    made = []

    def make(edits):
        source = harness.copy_of_source(tmp_path / "source", edits) if edits else SOURCE
        tmp_path.chmod(0o755)
        made.append(Runtime(harness.command(source), tmp_path, f"r{len(made)}"))
        return made[-1]

    yield make
    for runtime in made:
        for container in runtime.made:
            runtime("delete", "--force", container, fails=True)


@pytest.mark.parametrize("rule", RULES)
def test_holds(rule, build):
    rule.check(build(rule.also))


@pytest.mark.parametrize("rule", RULES)
def test_is_missed_when_it_is_taken_out(rule, build):
    runtime = build((*rule.also, *rule.weaken))
    plain = runtime.run("true")
    assert plain.returncode == 0, plain.stderr  # it is weaker, not broken
    with pytest.raises(AssertionError):
        rule.check(runtime)


def test_every_cve_of_the_table_is_there():
    names = " ".join(rule.name for rule in harness.RULES)
    missing = [number for number in cves.TABLE if number not in names]
    assert not missing
