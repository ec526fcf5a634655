#!/bin/sh
# Prints all that a process can tell of how it came to be, a line each, so that two ways of starting can be compared.
# What differs from container to container (ids, times, numbers of pipes and mounts) is left out or given one name.

same() { sed -E 's/[0-9a-f]{64}/ID/g; s/(pipe|socket|anon_inode|pid|mnt|net|ipc|uts|cgroup):\[[0-9]+\]/\1/g; s#/[0-9]+/(in|out) #/N/\1 #; s/ [A-Z][a-z]{2} +[0-9]+ +[0-9:]{4,5} / WHEN /'; }
told() { echo "== $1"; shift; "$@" 2>&1 | same; }

told arguments printf '<%s>\n' "$0" "$@"
told "first process" tr '\0' '\n' < /proc/1/cmdline
told environment sh -c 'tr "\0" "\n" < /proc/1/environ | sort'
told directory pwd
told user id
told program ls -l /proc/1/exe
told root readlink /proc/1/cwd /proc/1/root
# Not through a pipe: the shell would have an end of it open now and then.
echo '== files'; ls /proc/self/fd; readlink /proc/self/fd/0; wc -c < /proc/1/fd/0
told status grep -Ev '^(Vm|Rss|.*ctxt|State|Hugetlb|SigQ|x86_Thread|untag)' /proc/1/status
told stat sh -c 'cut -d" " -f 4-8,18,20,38,41 /proc/1/stat'
told limits cat /proc/1/limits
told ulimits ulimit -a
told mounts sh -c 'cut -d" " -f 4- /proc/1/mountinfo | sed -E "s/(lowerdir|nr_inodes=[0-9]+,inode).*//; s#/[0-9a-f]{64}/#/ID/#; s/ (master|shared):[0-9]+//" | sort'
told groups cat /proc/1/cgroup
told memory sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max'
told processes sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max'
told processors sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max'
told kernel sh -c 'for n in oom_score_adj timerslack_ns coredump_filter loginuid comm attr/current setgroups uid_map; do echo $n $(cat /proc/1/$n); done'
told inputs sh -c 'ls -lan /pupload/in | cut -c 1-40'
told outputs sh -c 'ls -lan /pupload/out | cut -c 1-40'
told devices ls -l /dev
told network sh -c 'cut -d: -f1 /proc/net/dev; cat /proc/net/unix | wc -l'
told host hostname
told others sh -c 'ls -d /proc/[0-9]* | head -1'
