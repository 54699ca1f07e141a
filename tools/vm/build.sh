#!/usr/bin/env bash
# Build what the test VM boots: .cache/vm/kernel and .cache/vm/root.cpio (an initramfs).
#
# A Debian of minimal size and the cloud kernel with its modules. Everything comes from Debian's
# archive; nothing is configured by hand. Rebuilt when this script or a package's version changes.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

packages=(
  python3 libseccomp2 nftables libnftables1 busybox-static iproute2 kmod procps
  systemd systemd-sysv dbus apparmor e2fsprogs runc uidmap
  ca-certificates curl openssl tmux iptables bsdutils
)
cache=.cache/vm
mkdir -p "$cache"
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
[ -n "$kernel" ] || { echo "apt knows no linux-image-cloud-amd64 (run apt-get update)" >&2; exit 1; }

stamp=$(cat "$0" && apt-cache policy "$kernel" "${packages[@]}" | grep -E '^[a-z]|Candidate:')
[ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

echo "==> building the VM's image (about two minutes, once)" >&2
rm -f "$cache/stamp"
work=$(mktemp -d "$PWD/$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
  bookworm "$work/root.tar"
mkdir "$work/root" "$work/kernel"
tar -C "$work/root" --exclude='./dev/*' -xf "$work/root.tar"
rm -rf "$work/root/usr/share/"{doc,man,locale,info} "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists"

(cd "$work" && apt-get --quiet=2 -o APT::Sandbox::User=root download "$kernel")
dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
mv "$work"/kernel/boot/vmlinuz-* "$cache/kernel"
mv "$work/kernel/lib/modules" "$work/root/usr/lib/modules"
chroot "$work/root" depmod "$(ls "$work/root/usr/lib/modules")"

(cd "$work/root" && find . -print0 | busybox cpio -0 -o -H newc) >"$cache/root.cpio" 2>"$work/cpio.log"
printf '%s' "$stamp" >"$cache/stamp"
