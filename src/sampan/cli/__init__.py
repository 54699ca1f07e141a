"""The programs. `main` is `sampan`; `commands/` has a module for each of its commands.

`options` (what a command is), `session` (what a command gets), `attach` and `terminal` (a
container's streams), `listing` and `template` (how lists are shown), `create_body` (from options
to the API), `start_engine`. Everything a command does goes over the Docker API, so it works with
any engine that speaks it.
"""
