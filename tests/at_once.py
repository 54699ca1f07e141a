"""A plugin of pytest's for runs that may be cut off (`tools/vm`): a failure is told at once."""

import pytest


class AtOnce:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line(f"\n{report.nodeid}: {report.when}\n{report.longreprtext}")
            terminal.write_line(report.capstdout + report.capstderr)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(AtOnce(config))
