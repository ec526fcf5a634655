# Copies a WebP picture without the chunks that are no picture: webp.pl FROM TO KEEP_PROFILE. ExifTool does not look for
# metadata where the file does not announce them; whoever reads the file may find them all the same.
use strict;
use warnings;

my ($from, $to, $keep_profile) = @ARGV;
my %kept = map { $_ => 1 } ('VP8 ', 'VP8L', 'VP8X', 'ALPH', 'ANIM', 'ANMF', $keep_profile ? 'ICCP' : ());
open my $in, '<:raw', $from or die "cannot read the picture\n";
open my $out, '>:raw', $to or die "cannot write the picture\n";
read($in, my $head, 12) == 12 or die "the picture ends in its head\n";
my $left = unpack('V', substr $head, 4, 4) - 4;
my $size = 4;
print {$out} $head;
while ($left >= 8 && read($in, my $start, 8) == 8) {
    my ($kind, $length) = unpack 'a4V', $start;
    my $whole = $length + ($length & 1);
    $left -= 8 + $whole;
    die "a part of the picture is longer than the picture\n" if $left < 0 - ($length & 1) || $length > -s $from;
    my $keep = $kept{$kind};
    if ($kind eq 'VP8X') {
        die "the picture's head has no size\n" if $length != 10;
        read($in, my $body, 10) == 10 or die "the picture is not complete\n";
        my $flags = ord(substr $body, 0, 1) & ~0x0c;    # EXIF and XMP
        $flags &= ~0x20 unless $keep_profile;
        substr($body, 0, 1) = chr $flags;
        print {$out} $start, $body;
        $size += 18;
        next;
    }
    print {$out} $start if $keep;
    $size += 8 + $whole if $keep;
    while ($whole > 0) {
        my $got = read $in, my $part, $whole < 65536 ? $whole : 65536;
        # Some writers leave out the last byte, which only fills up.
        if (!$got) { die "the picture is not complete\n" if $whole > 1; $part = "\0"; $got = 1 }
        $whole -= $got;
        print {$out} $part if $keep;
    }
}
seek $out, 4, 0 or die "cannot write the picture\n";
print {$out} pack 'V', $size;
close $out or die "cannot write the picture: no space left\n";
