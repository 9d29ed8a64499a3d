#!/vm/busybox sh
# The guest's first process, once /system is the root: mounts, cgroups, then one suite after the other.
# Everything that the machine outside reads goes through one pipe: lines of the suites, and marks that begin with @vm.
PATH=/vm/applets
export PATH

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666,gid=0 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
ln -s /proc/self/fd /dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "/dev/${stream#*:}"; done
for word in $(cat /proc/cmdline); do
    case $word in
        vm.cgroups=*) cgroups=${word#*=} ;;
        vm.uid=*) uid=${word#*=} ;;
        vm.require=*) require=${word#*=} ;;
        vm.suites=*) suites=${word#*=} ;;
        vm.skip=*) skip=${word#*=} ;;
    esac
done
ip link set lo up
hostname vm
# As systemd has it: a task may ask for more than the kernel gives its first process.
ulimit -H -n 524288

# The suites write into a pipe, as they do outside.
stty -F /dev/ttyS1 raw
mkfifo /run/out
cat /run/out >/dev/ttyS1 &
exec 3>/run/out
mark() {
    echo "@vm $*" >&3
}
age() {
    cut -d ' ' -f 1 /proc/uptime
}

v1() {
    mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
    for set in cpu,cpuacct cpuset memory pids freezer devices blkio perf_event net_cls,net_prio hugetlb; do
        mkdir "/sys/fs/cgroup/$set"
        mount -t cgroup -o "$set" cgroup "/sys/fs/cgroup/$set" || rmdir "/sys/fs/cgroup/$set"
    done
    for one in cpu cpuacct; do ln -s cpu,cpuacct "/sys/fs/cgroup/$one"; done
    for one in net_cls net_prio; do ln -s net_cls,net_prio "/sys/fs/cgroup/$one"; done
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
}
leaf=
case $cgroups in
    v2)
        mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup ||
            mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
        cd /sys/fs/cgroup
        # As systemd does it for a service with Delegate= and DelegateSubgroup=.
        unit=system.slice/executor-test.service
        mkdir -p init "$unit/leaf"
        echo $$ >init/cgroup.procs
        for dir in . system.slice; do
            for one in $(cat "$dir/cgroup.controllers"); do echo "+$one" >"$dir/cgroup.subtree_control"; done
        done
        for dir in "$unit" "$unit/leaf"; do
            chown "$uid" "$dir" "$dir/cgroup.procs" "$dir/cgroup.subtree_control" "$dir/cgroup.threads"
        done
        # Root finds them switched on, an ordinary user has to do it.
        if [ "$uid" = 0 ]; then
            for one in $(cat "$unit/cgroup.controllers"); do echo "+$one" >"$unit/cgroup.subtree_control"; done
        fi
        leaf=/sys/fs/cgroup/$unit/leaf/cgroup.procs
        ;;
    v1) v1 ;;
    hybrid)
        v1
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup/unified
        ;;
esac
cd /

# Where the suites are, what they are called with, and where they write.
. /vm/call
for one in $(echo "$skip" | tr , ' '); do set -- "$@" --skip "$one"; done
chown "$uid" "$scratch"
as=
home=/root
if [ "$uid" != 0 ]; then
    as="/usr/bin/setpriv --reuid $uid --regid $uid --clear-groups"
    home=/home/tester
fi

# What the suites find, not what was asked for.
case $cgroups in
    v2) controllers=$(cat "/sys/fs/cgroup/$unit/cgroup.controllers") ;;
    *) controllers=$(ls /sys/fs/cgroup) ;;
esac
mark boot "$(uname -r)" "$cgroups" "$uid" "$(age)" controllers $controllers
while read -r name package seconds; do
    case ",$suites," in
        *",$name,"*) ;;
        *) continue ;;
    esac
    mark begin "$name"
    (
        exec 3>&-
        if [ -n "$leaf" ]; then echo 0 >$leaf; fi
        cd "$root/$package"
        # Nobody but the user in the leaf: what else is in it, the user could not move.
        exec $as /vm/applets/env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME="$home" LANG=C \
            RUST_BACKTRACE=1 EXECUTOR_TEST_PREFIX="$prefix" EXECUTOR_TEST_REQUIRE="$require" \
            /vm/applets/timeout -k 10 "$seconds" "/vm/suites.d/$name" "$@"
    ) </dev/null >/run/out 2>/dev/console
    mark end "$name" $? "$(age)"
done </vm/suites
mark done "$(age)"
# The machine is ended from outside; should nobody be there, it ends itself.
sleep 30
reboot -f
