"""Java: Maven or Gradle make a jar, a JRE runs it."""

from __future__ import annotations

import re

from sampan.cli.starting.recipe import Recipe, listening, stage, start, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.starting.recipe import Step, Wishes
    from sampan.cli.starting.tree import Tree

MARKS = ("pom.xml", "build.gradle", "build.gradle.kts")
RELEASE = "21"  # a release with long support
PORT = 8080
_RELEASES = (
    r"<(?:maven\.compiler\.release|maven\.compiler\.target|java\.version|release)>(\d+)<",
    r"JavaLanguageVersion\.of\((\d+)\)",
    r"(?:source|target)Compatibility\s*=\s*\D*(\d+)",
)


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    mark = tree.first(*MARKS)
    text = tree.text(mark)
    found = next((m[1] for m in (re.search(p, text) for p in _RELEASES) if m), RELEASE)
    spring = "org.springframework.boot" in text
    port = wishes.port or (PORT if spring else 0)
    built = _maven(tree, found) if mark == "pom.xml" else _gradle(tree, found)
    jar = ("java", "-XX:MaxRAMPercentage=75", "-jar", "/app.jar")
    steps = [
        *built,
        stage(f"eclipse-temurin:{found}-jre", "", "A runtime without the compiler, of the release"
              " that the project asks for."),
        step("The one file that is needed.", "COPY --from=build --link /app.jar /app.jar"),
        step("By number, so that Kubernetes' runAsNonRoot can see it; not root.",
             "USER 10001:10001"),
        *([listening(port)] if port else []),
        start(wishes.command or jar),
    ]  # fmt: skip
    return Recipe(
        kind="java",
        seen=f"{mark}{'; Spring Boot' if spring else ''}",
        steps=tuple(steps),
        port=port,
        ignored=("target", "build", ".gradle", "*.class"),
        caution="" if spring else "the jar has to be one that `java -jar` starts",
    )


_WHY = "A cache mount keeps what was downloaded, outside of the image."
_OUT = "the one jar that has all is copied out under a fixed name."


def _maven(tree: Tree, release: str) -> list[Step]:
    program = "./mvnw" if tree.has("mvnw") else "mvn"
    image = f"eclipse-temurin:{release}-jdk" if tree.has("mvnw") else (
        f"maven:3-eclipse-temurin-{release}")  # fmt: skip
    return [
        stage(image, "build", "The compiler and Maven stay behind in this stage."),
        step(f"{_WHY} Tests belong before the image; {_OUT}",
             "WORKDIR /src", "COPY . .", "RUN --mount=type=cache,target=/root/.m2 \\",
             f"    {program} --batch-mode package -DskipTests \\",
             "    && find target -maxdepth 1 -name '*.jar' ! -name '*-sources.jar'"
             " ! -name 'original-*' -exec cp {} /app.jar ';'"),
    ]  # fmt: skip


def _gradle(tree: Tree, release: str) -> list[Step]:
    own = tree.has("gradlew")
    image = f"eclipse-temurin:{release}-jdk" if own else f"gradle:8-jdk{release}"
    return [
        stage(image, "build", "The compiler and Gradle stay behind in this stage."),
        step(f"{_WHY} Tests belong before the image; {_OUT}",
             "WORKDIR /src", "COPY . .", "RUN --mount=type=cache,target=/root/.gradle \\",
             f"    GRADLE_USER_HOME=/root/.gradle {'./gradlew' if own else 'gradle'} --no-daemon"
             " assemble \\",
             "    && find build/libs -maxdepth 1 -name '*.jar' ! -name '*-plain.jar'"
             " -exec cp {} /app.jar ';'"),
    ]  # fmt: skip
