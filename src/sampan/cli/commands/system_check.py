"""`sampan system check`: is everything on the disk as the engine believes?"""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="system check",
    summary="Compare what is on the disk with what the engine believes",
    description="Every blob is read. The exit code is 1 if a problem is left.",
    at_most=0,
    options=(option("--repair", "bool", "Put right what can be, without a loss"),),
)


def run(session: Session, args: Arguments) -> int:
    query = {"repair": args["repair"]}
    found = session.client.call("POST", "/sampan/check", query)["Problems"]
    for problem in found:
        print(problem["Problem"])
        if problem["Repaired"]:
            print(f"  repaired: {problem['Way']}")
        elif problem["Failure"]:
            print(f"  not repaired: {problem['Failure']}")
        else:
            how = "--repair would" if problem["Repairable"] else "to do"
            print(f"  {how}: {problem['Way']}")
    left = sum(not problem["Repaired"] for problem in found)
    print(f"{len(found)} problems, {left} left" if found else "no problems")
    return int(bool(left))
