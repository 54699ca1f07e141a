"""The table of stories. All services are busybox's."""

from __future__ import annotations

from tests.conformance.compose import Step, Story

SLEEP = "{image: busybox, command: sleep 300, init: true}"
WEB = f"services: {{web: {SLEEP}}}\n"
HEALTHY = """\
services:
  first:
    image: busybox
    init: true
    command: sh -c "touch /ready; sleep 300"
    healthcheck: {test: [CMD, test, -e, %s], interval: 200ms, retries: 3, start_period: 0s}
  then: {image: busybox, command: echo after, depends_on: {first: {condition: service_healthy}}}
"""
ENDED = """\
services:
  first: {image: busybox, command: sh -c "exit %d"}
  then:
    image: busybox
    command: echo after
    depends_on: {first: {condition: service_completed_successfully}}
"""
PROFILES = f"""\
services:
  always: {SLEEP}
  sometimes: {{extends: always, profiles: [tools]}}
"""
FILES = """\
services:
  web:
    image: busybox
    command: sleep 300
    init: true
    secrets: [token, {source: token, target: other}]
    configs: [{source: motto, target: /etc/motto, mode: 0440}]
secrets: {token: {environment: TOKEN}}
configs: {motto: {content: "steady ${WHO:-you}\\n"}}
"""
VOLUMES = """\
services:
  web:
    image: busybox
    command: sleep 300
    init: true
    volumes: ["data:/data", "./html:/html:ro", {type: tmpfs, target: /scratch}]
volumes: {data: {labels: {a: b}}}
"""
NETWORKS = """\
services:
  one:
    image: busybox
    command: sleep 300
    init: true
    networks: {front: {aliases: [www], ipv4_address: 10.97.5.7}, back: {}}
  two: {image: busybox, command: sleep 300, init: true, networks: [front]}
  three: {image: busybox, command: sleep 300, init: true, networks: [back]}
networks: {front: {ipam: {config: [{subnet: 10.97.5.0/24}]}}, back: {internal: true}}
"""
LOGS = """\
services:
  a: {image: busybox, command: sh -c "echo one; echo two; echo three >&2"}
  b: {image: busybox, command: echo four}
"""
PORTS = """\
services:
  web:
    image: busybox
    command: httpd -f -p 80
    init: true
    ports: ["127.0.0.1::80", "127.0.0.1::53/udp"]
"""
BUILD = """\
services:
  web:
    build: {context: ., args: {WHO: you}, target: wanted, labels: {a: b}}
    command: cat /made
"""
UNTARGETED = BUILD.replace(", target: wanted", "")
DOCKERFILE = """\
FROM busybox AS wanted
ARG WHO=nobody
RUN echo "for $WHO" >/made
COPY file /file
FROM busybox
RUN exit 9
"""
HOOKS = """\
services:
  web:
    image: busybox
    command: sleep 300
    init: true
    volumes: ["data:/data"]
    post_start: [{command: sh -c "echo started >>/data/log"}]
    pre_stop: [{command: sh -c "echo stopping >>/data/log"}]
volumes: {data: {}}
"""
WATCH = """\
services:
  web:
    build: {context: .}
    command: sleep 300
    init: true
    develop: {watch: [{action: sync, path: ./src, target: /src}]}
"""
OTHER = WEB.replace("300", "301")
UP = Step("up -d -t 1")

STORIES = {
    "up-and-down": Story(
        {"compose.yaml": WEB},
        [
            Step("up -d --wait", says=("Started|Healthy",)),
            Step("ps --format '{{.Service}} {{.State}}'", says=("^web running",)),
            Step("ls", says=("story-up-and-down +running\\(1\\)",)),
            Step("up -d", says=("Running",), silent=("Recreate",)),
            Step("down -t 1", says=("Network .* Removed",)),
            Step("ps -aq", lines=0),
        ],
    ),
    "scale": Story(
        {"compose.yaml": WEB},
        [
            Step("up -d --scale web=3"),
            Step("ps -q", lines=3),
            Step("scale web=1"),
            Step("ps -q", lines=1),
            Step("up -d"),
            Step("exec -T --index 2 web true", code=1, says=("is not running",)),
        ],
    ),
    "healthy-first": Story(
        {"compose.yaml": HEALTHY % "/ready"},
        [UP, Step("logs then", says=("after",), until=True), Step("ps", says=("\\(healthy\\)",))],
    ),
    "unhealthy-first": Story(
        {"compose.yaml": HEALTHY % "/never"},
        [Step("up -d", code=1, says=("dependency .*first.* failed|is unhealthy",))],
    ),
    "ended-first": Story(
        {"compose.yaml": ENDED % 0}, [UP, Step("logs then", says=("after",), until=True)]
    ),
    "failed-first": Story(
        {"compose.yaml": ENDED % 3},
        [Step("up -d", code=1, says=("didn't complete successfully: exit 3",))],
    ),
    "profiles": Story(
        {"compose.yaml": PROFILES},
        [
            UP,
            Step("ps --services", says=("always",), silent=("sometimes",)),
            Step("--profile tools up -d"),
            Step("--profile tools ps --services", says=("sometimes",)),
            Step("--profile tools stop -t 1 sometimes"),
            Step("--profile tools rm -f sometimes"),
        ],
    ),
    "secrets-and-configs": Story(
        {"compose.yaml": FILES},
        [
            UP,
            Step("exec -T web cat /run/secrets/token /run/secrets/other", says=("s3crets3cret",)),
            Step("exec -T web cat /etc/motto", says=("steady you",)),
        ],
        {"TOKEN": "s3cret"},
    ),
    "volumes": Story(
        {"compose.yaml": VOLUMES, "html/index": "hello\n"},
        [
            UP,
            Step("exec -T web sh -c 'cat /html/index; echo kept >/data/a'", says=("hello",)),
            Step("exec -T web touch /html/new", code=1, says=("Read-only",)),
            Step("down -t 1"),
            UP,
            Step("exec -T web cat /data/a", says=("kept",)),
            Step("volumes --format '{{.Name}}'", says=("story-volumes_data",)),
            Step("down -v -t 1", says=("Volume .* Removed",)),
            UP,
            Step("exec -T web cat /data/a", code=1),
        ],
    ),
    "missing-volume": Story(
        {"compose.yaml": VOLUMES.replace("{labels: {a: b}}", "{external: true, name: nowhere}")},
        [Step("up -d", code=1, says=('external volume "nowhere" not found',))],
    ),
    "networks": Story(
        {"compose.yaml": NETWORKS},
        [
            UP,
            Step("exec -T two nslookup www", says=("10\\.97\\.5\\.7",)),
            Step("exec -T two ping -c1 -W2 one", says=("1 packets received",)),
            Step("exec -T three ping -c1 -W2 two", code=1),
            Step("exec -T three ping -c1 -W2 one"),
        ],
    ),
    "missing-network": Story(
        {"compose.yaml": WEB + "networks: {default: {external: true, name: nowhere}}\n"},
        [Step("up -d", code=1, says=("network nowhere .*could not be found",))],
    ),
    "logs": Story(
        {"compose.yaml": LOGS},
        [
            Step("up", says=("a-1.*exited with code 0", "b-1 +\\| four")),
            Step("logs --no-log-prefix a", says=("^one", "two", "three")),
            Step("logs --no-color --tail 1 b", lines=1, says=("b-1 +\\| four",)),
            Step("logs -t b", says=("\\d{4}-\\d\\d-\\d\\dT.*four",)),
        ],
    ),
    "exec": Story(
        {"compose.yaml": WEB},
        [
            UP,
            Step("exec -T web sh -c 'exit 7'", code=7),
            Step("exec -T -e A=b -w /tmp web sh -c 'echo $A; pwd'", says=("b\n/tmp",)),
            Step("exec -T web cat", stdin="hello", says=("hello",)),
            Step("exec -T nothing true", code=1, says=("no such service|is not running",)),
            Step("exec -T web /etc/passwd", code=126),
            Step("exec -d web touch /detached"),
            Step("exec -T web test -e /detached", until=True),
        ],
    ),
    "run": Story(
        {"compose.yaml": WEB},
        [
            Step("run --rm -T web sh -c 'exit 7'", code=7),
            Step("run --rm -T -e A=b web sh -c 'echo $A'", says=("b",)),
            Step("run --rm -T --entrypoint echo web hello", says=("hello",)),
            Step("run --rm -T web cat", stdin="typed", says=("typed",)),
            Step("run -d --name story-run-extra web sleep 100"),
            Step("ps -a", says=("story-run-extra",), silent=("web-1",)),
        ],
    ),
    "cp": Story(
        {"compose.yaml": WEB, "a": "from here\n", "d/b": "deep\n"},
        [
            UP,
            Step("cp a web:/tmp/a"),
            Step("cp d web:/tmp"),
            Step("exec -T web cat /tmp/a /tmp/d/b", says=("from here\ndeep",)),
            Step("cp web:/tmp/d back"),
            Step("cp web:/nothing back", code=1, says=("[Cc]ould not find|No such",)),
        ],
    ),
    "states": Story(
        {"compose.yaml": WEB},
        [
            Step("create"),
            Step("ps -a", says=("Created",)),
            Step("start"),
            Step("pause"),
            Step("ps", says=("Paused",)),
            Step("unpause"),
            Step("top", says=("sleep 300",)),
            Step("restart -t 1"),
            Step("stats --no-stream", says=("story-states-web-1",)),
            Step("kill -s KILL"),
            Step("ps -a", says=("Exited \\(137\\)",)),
            Step("rm -f"),
            Step("ps -aq", lines=0),
        ],
    ),
    "port": Story(
        {"compose.yaml": PORTS},
        [
            UP,
            Step("port web 80", says=("^127\\.0\\.0\\.1:\\d+",)),
            Step("port --protocol udp web 53", says=("^127\\.0\\.0\\.1:\\d+",)),
            Step("port web 99", code=1),
        ],
    ),
    "exit-code-from": Story(
        {"compose.yaml": LOGS.replace("echo four", 'sh -c "exit 5"')},
        [Step("up --exit-code-from b", code=5)],
    ),
    "wait": Story(
        {"compose.yaml": LOGS.replace("echo four", 'sh -c "exit 5"')},
        [Step("up -d --wait", code=1, says=("exited",))],
    ),
    "wait-for-the-end": Story(
        {"compose.yaml": LOGS.replace("echo four", 'sh -c "sleep 2; exit 5"')},
        [UP, Step("wait b", code=5, says=("5",))],
    ),
    "orphans": Story(
        {"compose.yaml": WEB, "two.yaml": f"services: {{web: {SLEEP}, gone: {SLEEP}}}\n"},
        [
            Step("-f two.yaml up -d"),
            Step("up -d", says=("[Ff]ound orphan containers",)),
            Step("up -d --remove-orphans -t 1", says=("gone-1 +Removed",)),
            Step("ps -q", lines=1),
        ],
    ),
    "override": Story(
        {
            "compose.yaml": WEB,
            "compose.override.yaml": "services: {web: {environment: {A: over}}}\n",
            "third.yaml": "services: {web: {environment: {A: third}, command: !override echo}}\n",
        },
        [
            Step("run --rm -T web sh -c 'echo $A'", says=("over",)),
            Step("-f compose.yaml run --rm -T web sh -c 'echo =$A='", says=("==",)),
            Step("-f compose.yaml -f third.yaml config", says=("A: third", "- echo")),
        ],
    ),
    "environments": Story(
        {
            "compose.yaml": "services: {web: {image: busybox, env_file: [a.env], "
            'environment: {C: "${C:-none}", D: "${D-}", E: }}}\n',
            ".env": "C=of dotenv\n",
            "other.env": "C=of other\n",
            "a.env": "A='single $$'\nB=\"double ${C}\"\nC=of file\n",
        },
        [
            Step("run --rm -T web env", says=("B=double of dotenv", "C=of dotenv", "E=shell")),
            Step("--env-file other.env run --rm -T web env", says=("C=of other",)),
            Step("config --environment", says=("C=of dotenv",)),
        ],
        {"E": "shell"},
    ),
    "required-variable": Story(
        {"compose.yaml": 'services: {web: {image: "${IMAGE:?say which}"}}\n'},
        [Step("up -d", code=1, says=("say which",))],
    ),
    "extends-and-include": Story(
        {
            "compose.yaml": "include: [more/compose.yaml]\n"
            "services: {web: {extends: {file: base.yaml, service: base}, command: env}}\n",
            "base.yaml": "services: {base: {image: busybox, environment: {FROM: base}}}\n",
            "more/compose.yaml": "services: {included: {image: busybox, env_file: [x.env]}}\n",
            "more/x.env": "NEAR=here\n",
        },
        [
            Step("config --services", lines=2),
            Step("run --rm -T web", says=("FROM=base",)),
            Step("run --rm -T included env", says=("NEAR=here",)),
        ],
    ),
    "dry-run": Story(
        {"compose.yaml": WEB},
        [Step("--dry-run up -d", says=("DRY-RUN MODE",)), Step("ps -aq", lines=0)],
    ),
    "build": Story(
        {"compose.yaml": BUILD, "Dockerfile": DOCKERFILE, "file": "x"},
        [
            Step("build", silent=("exit 9",)),
            Step("up", says=("for you",)),
            Step("images --format json", says=("story-build-web",)),
            Step("build --build-arg WHO=me"),
            Step("run --rm -T web", says=("for me",)),
        ],
    ),
    "failed-build": Story(
        {"compose.yaml": UNTARGETED, "Dockerfile": DOCKERFILE, "file": ""},
        [Step("build", code=1, says=("exit code: 9",))],
    ),
    "changed": Story(
        {"compose.yaml": WEB},
        [
            UP,
            Step("up -d -t 1", says=("Recreated",), write=("compose.yaml", OTHER)),
            Step("up -d -t 1 --no-recreate", write=("compose.yaml", WEB), silent=("Recreated",)),
            Step("up -d -t 1 --force-recreate", says=("Recreated",)),
            Step("top", says=("sleep 300",)),
        ],
    ),
    "hooks": Story(
        {"compose.yaml": HOOKS},
        [
            UP,
            Step("exec -T web cat /data/log", says=("started",), until=True),
            Step("stop -t 1"),
            Step("run --rm -T web cat /data/log", says=("started\nstopping",)),
        ],
    ),
    "watch": Story(
        {"compose.yaml": WATCH, "Dockerfile": "FROM busybox\nCOPY src /src\n", "src/a": "old\n"},
        [
            Step("up -d --build"),
            Step("watch --no-up --quiet", beside=True),
            Step("exec -T web cat /src/a", says=("old",)),
            Step("exec -T web cat /src/b", until=True, says=("new",), write=("src/b", "new\n")),
        ],
    ),
    # compose ends with "EOF" where the events end, and may say so before it has shown them all.
    "events": Story(
        {"compose.yaml": WEB},
        [
            UP,
            Step("stop -t 1"),
            Step(
                "events --json --since 10m --until 0s", code=1, until=True,
                says=('"action":"create"', '"action":"start"', '"action":"die"'),
            ),
        ],
    ),
    "attached-then-gone": Story(
        {"compose.yaml": LOGS.replace("echo four", "sleep 300")},
        [Step("up --abort-on-container-exit -t 1", says=("Aborting on container exit",))],
    ),
    "not-a-file": Story({"compose.yaml": "services: {web: {imag: x}}\n"},
                        [Step("up -d", code=1, says=("not allowed",))]),
    "missing-image": Story(
        {"compose.yaml": "services: {web: {image: nowhere/nothing}}\n"},
        [Step("up -d --pull never", code=1, says=("No such image",))],
    ),
}  # fmt: skip
