# Runs "$@" under strace, in namespaces and file systems of their own, so that it can neither fill nor disturb the
# machine; made for `unshare`. strace stays outside of the cgroup that is recorded: a shell moves itself into it and
# becomes the command, so that both witnesses see the command from its exec on.
folder=$1 procs=$2
shift 2
exec 3>"$folder/log"
for place in /tmp /var/tmp /dev/shm; do
    mount -t tmpfs -o size=512m,mode=1777 tmpfs "$place" || exit
done
busybox ifconfig lo up || exit
echo 0 65535 >/proc/sys/net/ipv4/ping_group_range || exit
cd /tmp || exit
exec strace --follow-forks --syscall-number --raw=all --quiet=none --output=/proc/self/fd/3 \
    sh -c 'exec 3>&-; echo 0 >"$0" && exec "$@"' "$procs" "$@"
