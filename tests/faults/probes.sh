# Tries what no node should get away with, in an image with busybox, and writes below each name what came of it.
# What it says when all is well stands in test_confinement.py. Nothing here does harm where a line is let through.

probe() {
    echo "== $1"
    (eval "$2") 2> /dev/null
}

# who it is
probe "user" 'id -u; id -g'
probe "groups" 'id -G'
probe "capabilities" 'grep -c "^Cap[A-Z][a-z]*:.*[1-9a-f]" /proc/self/status'
probe "no new privileges" 'grep NoNewPrivs /proc/self/status | cut -f2'
probe "set-uid programs" '/set-uid/busybox id -u'
probe "seccomp" 'grep Seccomp: /proc/self/status | cut -f2'
probe "users of the machine" 'grep -c . /proc/self/uid_map; grep -c . /etc/passwd'

# what it can write
probe "written" '
    for place in / /bin /etc /root /var /run /pupload /pupload/in /proc /proc/sys /proc/sys/kernel /sys /sys/fs/cgroup \
        /dev /dev/shm /dev/mqueue /tmp /pupload/out; do
        touch $place/probe && echo $place
        rm -f $place/probe
    done'
probe "kernel settings" 'echo core > /proc/sys/kernel/core_pattern && echo done; echo h > /proc/sysrq-trigger && echo done'
probe "control groups" '
    for file in $(find /sys/fs/cgroup -name "*max*" -o -name "*limit*"); do
        echo 1 > $file && echo $file
    done'
probe "mounting" 'mount -o remount,rw / && echo done; mount -o remount,exec /tmp && echo done; mount -t proc p /tmp && echo done'
probe "programs in tmp" 'cp /bin/busybox /tmp/ls; /tmp/ls || echo refused; rm /tmp/ls'
probe "programs in shm" 'cp /bin/busybox /dev/shm/ls; /dev/shm/ls || echo refused; rm /dev/shm/ls'
probe "options of tmp" 'grep " /tmp " /proc/mounts | grep -o -E "nosuid|nodev|noexec"'
probe "room in tmp" 'dd if=/dev/zero of=/tmp/big bs=1M count=1000; stat -c %s /tmp/big; rm /tmp/big'
probe "files in tmp" '
    i=0
    while [ $i -lt 4000 ] && touch /tmp/f$i; do i=$((i + 1)); done
    [ $i -lt 3000 ] && echo bounded
    rm -f /tmp/f*'
probe "room in shm" 'dd if=/dev/zero of=/dev/shm/big bs=1M count=300; stat -c %s /dev/shm/big; rm /dev/shm/big'

# what it sees
probe "interfaces" 'ls /sys/class/net'
probe "routes" 'ip route'
probe "names" 'nslookup example.org 127.0.0.11 > /tmp/names && echo found; nslookup example.org > /tmp/names && echo found'
probe "the server" 'for host in 127.0.0.1 172.17.0.1; do wget -T 1 -q -O - http://$host:$FLAG_PORT/healthz && echo reached; done'
probe "the metadata service" 'wget -T 1 -q -O - http://169.254.169.254/ && echo reached'
probe "sockets of others" 'grep -c @ /proc/net/unix; find / -xdev -name "*.sock"; ls /var/run/docker.sock /run/docker.sock'
probe "devices" 'ls -l /dev | grep -E "^[bc]" | awk "{print \$NF}" | sort; ls /dev/dri /dev/nvidia0 /dev/kvm'
probe "disks" 'for disk in /dev/sda /dev/vda /dev/mem /dev/kmsg; do head -c 1 $disk && echo read; done'
probe "processes" 'ls -d /proc/[0-9]* | grep -c .'
probe "memory of the machine" 'head -c 1 /proc/kcore | wc -c; wc -c < /proc/keys'
probe "hostname" 'hostname; hostname other && echo done'
probe "environment" 'env | cut -d= -f1 | grep -v -E "^(PUPLOAD_|FLAG_|INPUT_|PATH|PWD|HOME|SHLVL|HOSTNAME)"'

# how much it may take
probe "open files" 'ulimit -n; ulimit -Hn'
probe "core dumps" 'ulimit -c; ulimit -Hc'
probe "size of a file" 'ulimit -Hf'
probe "first choice of the kernel" 'cat /proc/self/oom_score_adj; echo -1000 > /proc/self/oom_score_adj && echo done'
probe "priority" 'nice -n -5 true && nice -n -5 nice'
probe "memory" 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max'
probe "swap" 'cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes || cat /sys/fs/cgroup/memory.swap.max'
probe "processes at once" 'cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max'
