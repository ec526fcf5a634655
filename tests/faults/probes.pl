# Tries system calls that no node has any use for, and says of each whether the kernel let it: x86-64 numbers.
use strict;
$| = 1;
my %calls = (
    chroot => [161, "/tmp"], pivot_root => [155, "/tmp", "/tmp"], mount => [165, "none", "/tmp", "tmpfs", 0, ""],
    umount => [166, "/tmp", 0], mknod => [133, "/tmp/disk", 0060666, 2048], setuid => [105, 0], setgid => [106, 0],
    setgroups => [116, 0, 0], sethostname => [170, "x", 1], unshare_user => [272, 0x10000000],
    unshare_net => [272, 0x40000000], unshare_mount => [272, 0x20000], setns => [308, 0, 0],
    bpf => [321, 0, "\0" x 64, 64], keyctl => [250, 0, -3, 0], add_key => [248, "user", "a", "b", 1, -3],
    request_key => [249, "user", "a", 0, -3], perf_event_open => [298, "\0" x 112, 0, -1, -1, 0],
    kexec_load => [246, 0, 0, 0, 0], init_module => [175, "x", 1, ""], finit_module => [313, 0, "", 0],
    delete_module => [176, "x", 0], swapon => [167, "/tmp/x", 0], settimeofday => [164, pack("qq", time, 0), 0],
    clock_settime => [227, 0, pack("qq", time, 0)], iopl => [172, 3], ioperm => [173, 0, 1, 1],
    open_by_handle_at => [304, -100, "\0" x 64, 0], acct => [163, "/tmp/x"], userfaultfd => [323, 0],
    process_vm_readv => [310, 1, "\0" x 16, 1, "\0" x 16, 1, 0], syslog => [103, 3, "\0" x 64, 64],
    quotactl => [179, 0, "/dev/sda", 0, 0], personality => [135, 0x0040000],
    ptrace_parent => [101, 16, 0, 0, 0], nice => [141, 0, 0, -20], chown => [92, "/pupload/out", 0, 0],
    capset => [126, pack("LL", 0x20080522, 0), pack("L6", ~0, ~0, 0, ~0, ~0, 0)],
);
for my $name (sort keys %calls) {
    my ($number, @arguments) = @{$calls{$name}};
    my $result = syscall($number, @arguments);
    print "$name ", ($result == -1 ? "refused" : "done"), "\n";
}
my %sockets = (raw_socket => [2, 3, 1], packet_socket => [17, 3, 768], kernel_crypto_socket => [38, 5, 0]);
for my $name (sort keys %sockets) {
    print "$name ", (socket(my $made, $sockets{$name}[0], $sockets{$name}[1], $sockets{$name}[2]) ? "done" : "refused"), "\n";
}
