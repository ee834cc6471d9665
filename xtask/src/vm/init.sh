#!/bin/sh
# The first process of a virtual machine for tests: gets it ready, runs /tests.sh, and tells the outcome on the console.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux LC_ALL=C.UTF-8
if [ "$1" != moved ]; then
    # The initial root can't be pivoted from, as runtimes do it; a bind mount of it can.
    mkdir -p /proc /sys /dev /run /root /mnt
    mount --bind / /mnt && cd /mnt && mount --move . / && exec chroot . /init moved
    echo "the root can't be moved"
fi
cd /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chmod 1777 /tmp
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
busybox hostname vm
ldconfig
busybox ifconfig lo up
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console; do
    [ ! -e /modules/$module.ko ] || busybox insmod /modules/$module.ko
done
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name" 2>/dev/null)" != compiler ] || export SECCOMP_TRACE_COMPILER="/dev/${port##*/}"
done
# From here on the console is the tests': only what ends the kernel is printed between.
dmesg --console-level 1
echo
echo "@@UP $(uname -m) $(uname -r)"
export SECCOMP_TRACE_REPORT=/run/report SECCOMP_TRACE_EMULATED=1
: >/run/report
{ sh /tests.sh </dev/null 2>&1; echo $? >/run/status; } | cat
sed 's/^/@@REPORT /' /run/report
# What the kernel says about itself is an error, whatever the tests say.
# A busy host makes it look stuck. How a warning looks differs: "CPU: 0 PID: 1 at FILE", since 6.19 "FILE at FUNCTION, CPU#0".
dmesg | grep -E 'BUG:|WARNING: (CPU: |.* at .*CPU#)|Oops|general protection|Internal error' | grep -v 'soft lockup' | sed 's/^/@@KERNEL /'
echo "@@RC $(cat /run/status)"
echo "@@END"
busybox poweroff -f
