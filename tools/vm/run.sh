#!/usr/bin/env bash
# Run pytest in a VM with cgroup v2 and AppArmor: tools/vm/run.sh [--systemd] [PYTEST ARGUMENT ...]
#
# qemu translates (SAMPAN_VM_ACCEL=kvm where there is KVM). Without arguments a list of tests.sh runs,
# for at most 15 minutes; SAMPAN_VM_SECONDS says otherwise. The VM gets the image of build.sh and, as a second initramfs,
# this checkout with its .venv under the same path. The tests' exit status is ours; a VM that
# ends or hangs without one is reported with the end of its console.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
here=$PWD cache=$PWD/.cache/vm patience=3600
. tools/vm/tests.sh

init= names=("${plain[@]}")
[ "${1:-}" != --systemd ] || { init=vm.init=systemd names=("${systemd[@]}"); shift; }
[ $# -gt 0 ] || { patience=900; set -- "${names[@]}"; }
patience=${SAMPAN_VM_SECONDS:-$patience}
tools/vm/build.sh

work=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/vm" "$work/tree$here"
cp tools/vm/init "$work/tree/vm/init"
{ [ -t 1 ] || echo export NO_COLOR=1; printf 'directory=%q\n' "$here"; printf 'arguments=%q\n' "${*@Q}"; } >"$work/tree/vm/environment"
{
  git ls-files --cached --others --exclude-standard
  find .venv src -not -path '*/site-packages/mypy*' -not -path '*/site-packages/ruff*' \
    -not -name ruff -not -name '*__mypyc*' -not -type d
} | tar -cf - --ignore-failed-read -T - | tar -C "$work/tree$here" -xf -
(cd "$work/tree" && find . -print0 | busybox cpio -0 -o -H newc 2>/dev/null) >"$work/tree.cpio"
cat "$cache/root.cpio" "$work/tree.cpio" >"$work/initrd"

# -no-reboot: the VM's reboot is its end
timeout --foreground "$patience" qemu-system-x86_64 -accel "${SAMPAN_VM_ACCEL:-tcg,thread=multi,tb-size=512}" -cpu max,la57=off -smp 2 -m 4096 \
  -nodefaults -display none -no-reboot -kernel "$cache/kernel" -initrd "$work/initrd" \
  -append "rdinit=/vm/init console=ttyS0 quiet panic=-1 apparmor=1 security=apparmor swapaccount=1 mitigations=off no_timer_check $init" \
  -serial "file:$cache/console.log" -serial stdio -serial "file:$work/status" </dev/null || true

status=$(tr -dc 0-9 <"$work/status" 2>/dev/null || true)
if [ -z "$status" ]; then
  tail -n 20 "$cache/console.log" >&2 || true
  echo "the VM ended or hung (after at most $patience s) without a result; its console: $cache/console.log" >&2
  exit 1
fi
exit "$status"
