# shellcheck shell=sh
#
# What the entry points of node types share. Sourced, never run:
#
#     #!/bin/sh
#     set -eu
#     . /usr/local/lib/pupload/node.sh
#
# Everything comes in by the environment, as the node contract has it (INPUT_NAME, OUTPUT_NAME, FLAG_NAME), and every value
# is checked before it is used. What a node has to say is one line of JSON each: errors on stderr, the rest on stdout.
#
# Exit codes: 0 done, 64 a flag or path is wrong, 65 the input is not what it should be or is damaged, 70 it did not work
# out, 71 too much for this container's memory or disk; the last may go well on a larger tier, the others never do.

# Text fit to stand between quotation marks in a line of JSON: one line, printable, at most 300 bytes.
plain() { printf '%s' "$*" | LC_ALL=C tr -cd ' !#-[]-~' | cut -c1-300; }

# say MESSAGE [PROGRESS]: a line for people; PROGRESS is from 0 to 1.
say() { printf '{"level":"INFO","message":"%s"%s}\n' "$(plain "$1")" "${2:+,\"progress\":$2}"; }

# warn MESSAGE: something that need not stop anybody.
warn() { printf '{"level":"WARN","message":"%s"}\n' "$(plain "$1")" >&2; }

# die CODE MESSAGE...: ends the node with a sentence that says what to do.
die() {
    die_code=$1
    shift
    printf '{"level":"ERROR","message":"%s"}\n' "$(plain "$*")" >&2
    exit "$die_code"
}

# number NAME VALUE LEAST MOST: a whole number within bounds and without leading zeros, or nothing.
number() {
    case $2 in
    '') return ;;
    0) ;;
    *[!0-9]* | 0* | ??????????*) die 64 "flag $1 must be a whole number from $3 to $4, not '$2'" ;;
    esac
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        die 64 "flag $1 must be a whole number from $3 to $4, not '$2'"
    fi
}

# decimal NAME VALUE LEAST MOST: a number, with or without a point, within bounds, or nothing.
decimal() {
    case $2 in
    '') return ;;
    *[!0-9.-]* | *.*.* | ?*-* | . | - | -.) die 64 "flag $1 must be a number from $3 to $4, not '$2'" ;;
    esac
    awk -v value="$2" -v least="$3" -v most="$4" 'BEGIN { exit !(value + 0 >= least && value + 0 <= most) }' ||
        die 64 "flag $1 must be a number from $3 to $4, not '$2'"
}

# boolean NAME VALUE: succeeds when it is true, fails when it is false.
boolean() {
    case $2 in
    true | 1) return 0 ;;
    false | 0 | '') return 1 ;;
    *) die 64 "flag $1 must be true or false, not '$2'" ;;
    esac
}

# choice NAME VALUE ALLOWED...: one of these.
choice() {
    choice_name=$1 choice_value=$2
    shift 2
    for choice_one in "$@"; do
        [ "$choice_one" != "$choice_value" ] || return 0
    done
    die 64 "flag $choice_name must be one of $*, not '$choice_value'"
}

# path VARIABLE VALUE: an absolute path without anything that a tool could read a meaning into.
path() {
    case $2 in
    '') die 64 "$1 is not set: this image runs as a node of a flow and expects the path there" ;;
    *[!A-Za-z0-9._/-]* | [!/]*) die 64 "$1 must be an absolute path of letters, digits, '.', '_', '-'" ;;
    esac
}

# input VARIABLE VALUE: the path of a file that can be read.
input() {
    path "$1" "$2"
    if [ ! -f "$2" ] || [ ! -r "$2" ]; then die 65 "there is no readable file at $2"; fi
}

# starts FILE COUNT: its first bytes in hexadecimal, without blanks; a format is told from these, never from a name.
starts() { od -An -v -tx1 -N"$2" "$1" | tr -d ' \n'; }

# memory_limit: the bytes that this container may use (cgroup v2, then v1); 2 GiB where nobody says.
memory_limit() {
    memory_most=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
    case $memory_most in
    *[!0-9]* | ?????????????*) echo 2147483648 ;;
    *) echo "$memory_most" ;;
    esac
}

# processors: how many the container may use, at least one (cgroup v2, then v1).
processors() {
    read -r cpu_quota cpu_period <<EOF
$(cat /sys/fs/cgroup/cpu.max 2>/dev/null || paste -d ' ' /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null)
EOF
    case ${cpu_quota:-max} in
    max | *[!0-9]*) nproc ;;
    *) echo $(((cpu_quota + cpu_period - 1) / cpu_period)) ;;
    esac
}

# size FILE: its bytes.
size() { stat -Lc %s "$1"; }

# attended SIZE MESSAGE COMMAND...: runs the command, which reads a file of SIZE bytes from its standard input, and tells
# every two seconds how much of it is read. Ends as the command ends. Needs no tool that can tell progress.
attended() {
    attended_size=$1 attended_message=$2
    shift 2
    # What runs in the background has no standard input of its own accord.
    exec 3<&0
    "$@" <&3 3<&- &
    attended_command=$!
    exec 3<&-
    trap 'kill "$attended_command" 2>/dev/null; exit 143' TERM INT
    (
        trap 'exit 0' TERM
        while sleep 2 & wait $! && attended_at=$(awk '$1 == "pos:" { print $2 }' "/proc/$attended_command/fdinfo/0" 2>/dev/null); do
            if [ "$attended_size" = 0 ] || [ -z "$attended_at" ]; then continue; fi
            say "$attended_message" "$(awk -v at="$attended_at" -v all="$attended_size" 'BEGIN { printf "%.3f", at < all ? at / all : 1 }')"
        done
    ) </dev/null &
    attended_teller=$!
    attended_code=0
    wait "$attended_command" || attended_code=$?
    kill "$attended_teller" 2>/dev/null
    wait "$attended_teller" 2>/dev/null || :
    trap - TERM INT
    return "$attended_code"
}
