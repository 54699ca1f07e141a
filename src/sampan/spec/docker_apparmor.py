"""The AppArmor profile of a container that names none, in AppArmor's language (apparmor.d(5)).

It is a second wall behind capabilities, seccomp and the mounts that cover parts of /proc and /sys:
what a container of Docker's may do stays allowed, mounting and writing to the host's kernel
settings does not, and signals and ptrace stay among processes of the same profile. It names no file
of a distribution, so that any parser since 2.13 compiles it.
"""

NAME = "sampan-default"
# A "*" is within one directory, "**" crosses them. The profile has to be attach_disconnected: a
# container's mounts hang below no directory of the host.
TEXT = f"""
profile {NAME} flags=(attach_disconnected, mediate_deleted) {{
  capability,
  network,
  file,
  umount,

  signal peer={NAME},
  signal (receive) peer=unconfined,
  ptrace peer={NAME},

  deny mount,
  deny pivot_root,

  # the host's kernel, as files; System V's limits (kernel/shm*, msg*, sem) belong to the container
  deny /proc/kcore rwklx,
  deny /proc/kmem rwklx,
  deny /proc/mem rwklx,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/* w,
  deny /proc/{{acpi,asound,bus,driver,fs,irq,scsi,tty}}/** wklx,
  deny /proc/sys/[^k]*/** wklx,
  deny /proc/sys/kernel/[^ms]** wklx,
  deny /proc/sys/kernel/{{modprobe,modules_disabled,sysrq,seccomp/**}} wklx,

  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
}}
"""
