# What ImageMagick does not do with files of pictures: it counts frames only by decoding them, does not see the colour profile of
# HEIC and AVIF, leaves that of a PNG out together with texts, and does not write a WebP that moves. Called by picture.sh; decodes nothing.
#
#     perl picture.pl count FORMAT FILE          how many frames or pages, the canvas's width and height; at most 1001 are counted
#     perl picture.pl profile FILE TARGET        writes the colour profile of a HEIC or AVIF, if it has one
#     perl picture.pl lean FILE                  takes what is neither picture nor colour out of a PNG, in its place
#     perl picture.pl join FORMAT FILE TARGET FRAME...   makes one WebP of the frames, which last as long as those of FILE
use strict;
use warnings;

my $MOST = 1001;
my %colour = map { $_ => 1 } qw(IHDR PLTE IDAT IEND tRNS iCCP gAMA cHRM sRGB sBIT cICP pHYs);

sub opened { open(my $file, $_[1] // '<', $_[0]) or die "cannot open $_[0]: $!\n"; binmode $file; return $file }

# Exactly so many bytes, or undef at the end of what there is.
sub bytes { my ($file, $count) = @_; my $data = ''; return $count == 0 || (read($file, $data, $count) // 0) == $count ? $data : undef }

# Each chunk of a PNG or WebP, up to its end: CALL gets its name, its length, and the place of its contents.
sub chunks {
    my ($file, $call, $from, $order, $padded, $extra) = @_;
    my $at = $from;
    while (seek($file, $at, 0) and defined(my $head = bytes($file, 8))) {
        my ($name, $length) = $order eq 'N' ? reverse unpack('N a4', $head) : unpack('a4 V', $head);
        last if $call->($name, $length, $at + 8);
        $at += 8 + $length + ($padded ? $length % 2 : 0) + $extra;
    }
}

# Of GIF, WebP, PNG (APNG) and TIFF: [frames, width, height, loops, durations in milliseconds].
sub gif {
    my ($file) = @_;
    my ($frames, $loops, $delay, @durations) = (0, 1, 0);
    my (undef, $width, $height, $flags) = unpack('a6 v v C', bytes($file, 13) // '');
    return [1, 0, 0, 1] unless defined $flags;
    bytes($file, 3 << ($flags & 7) + 1) if $flags & 0x80;
    my $over = sub { while (defined(my $length = bytes($file, 1))) { my $n = ord $length; last unless $n; seek($file, $n, 1) } };
    while ($frames < $MOST and defined(my $kind = bytes($file, 1))) {
        if ($kind eq ',') {
            my $head = bytes($file, 9) // last;
            my $local = ord substr($head, 8);
            seek($file, 3 << ($local & 7) + 1, 1) if $local & 0x80;
            seek($file, 1, 1);
            $over->();
            $frames++;
            # As browsers have it: what is to be shown for no time is shown for a tenth of a second.
            push @durations, $delay < 2 ? 100 : $delay * 10;
            $delay = 0;
        } elsif ($kind eq '!') {
            my $label = bytes($file, 1) // last;
            my $length = ord(bytes($file, 1) // last);
            my $body = bytes($file, $length) // last;
            $delay = unpack('x v', $body) if $label eq "\xf9" && $length >= 4;
            if ($label eq "\xff" && $body eq 'NETSCAPE2.0' && defined(my $block = bytes($file, 4))) {
                $loops = unpack('x2 v', $block);
                # So many times again; 0 is for ever.
                $loops++ if $loops;
            }
            $over->() if $length;
        } else {
            last;
        }
    }
    return [$frames, $width, $height, $loops, @durations];
}

sub webp {
    my ($file) = @_;
    my ($frames, $width, $height, $loops, @durations) = (0, 0, 0, 1);
    chunks($file, sub {
        my ($name, $length) = @_;
        if ($name eq 'VP8X') { ($width, $height) = map { 1 + unpack('V', "$_\0") } unpack('x4 a3 a3', bytes($file, 10) // "\0" x 10) }
        if ($name eq 'ANIM') { $loops = unpack('x4 v', bytes($file, 6) // "\0" x 6) }
        if ($name eq 'ANMF') { $frames++; push @durations, unpack('V', (unpack('x12 a3', bytes($file, 16) // "\0" x 16)) . "\0") }
        return $frames >= $MOST;
    }, 12, 'V', 1, 0);
    return [$frames || 1, $width, $height, $loops, @durations];
}

sub png {
    my ($file) = @_;
    my ($frames, $width, $height) = (1, 0, 0);
    chunks($file, sub {
        my ($name, $length) = @_;
        ($width, $height) = unpack('N N', bytes($file, 8) // "\0" x 8) if $name eq 'IHDR';
        $frames = unpack('N', bytes($file, 4) // "\0\0\0\1") if $name eq 'acTL';
        return $name eq 'IDAT';
    }, 8, 'N', 0, 4);
    return [$frames || 1, $width, $height, 1];
}

sub tiff {
    my ($file) = @_;
    my $head = bytes($file, 8) // return [1, 0, 0, 1];
    my ($short, $long) = $head =~ /^II/ ? ('v', 'V') : ('n', 'N');
    my ($pages, $at, %seen) = (0, unpack("x4 $long", $head));
    while ($at && !$seen{$at}++ && $pages < $MOST && seek($file, $at, 0)) {
        my $count = unpack($short, bytes($file, 2) // last);
        seek($file, $count * 12, 1);
        $pages++;
        $at = unpack($long, bytes($file, 4) // last);
    }
    return [$pages || 1, 0, 0, 1];
}

sub told {
    my ($format, $path) = @_;
    my %readers = (gif => \&gif, webp => \&webp, png => \&png, tiff => \&tiff);
    return $readers{$format} ? $readers{$format}->(opened($path)) : [1, 0, 0, 1];
}

# It stands in a box of its own, whole or not at all, in front of all pixels.
sub profile {
    my ($path, $target) = @_;
    my $head = '';
    read(opened($path), $head, 4 << 20);
    while ($head =~ /(?=(.{4})colr(?:prof|rICC).{36}acsp)/sg) {
        my $length = unpack('N', $1) - 12;
        my $profile = substr($head, $-[0] + 12, $length > 0 ? $length : 0);
        next unless length $profile == $length && unpack('N', $profile) == $length;
        my $out = opened($target, '>');
        print {$out} $profile or die "cannot write: $!\n";
        close($out) or die "cannot write: $!\n";
        return;
    }
}

sub lean {
    my ($path) = @_;
    my $file = opened($path, '+<');
    my $to = 8;
    my $move = sub {
        my ($from, $length) = @_;
        while ($length > 0) {
            my $part = $length < 1 << 20 ? $length : 1 << 20;
            seek($file, $from, 0);
            my $data = bytes($file, $part) // die "the PNG is not complete\n";
            seek($file, $to, 0);
            print {$file} $data or die "cannot write: $!\n";
            ($from, $to, $length) = ($from + $part, $to + $part, $length - $part);
        }
    };
    chunks($file, sub {
        my ($name, $length, $at) = @_;
        $move->($at - 8, $length + 12) if $colour{$name} && $at - 8 != $to;
        $to = $at + $length + 4 if $colour{$name} && $at - 8 == $to;
        return $name eq 'IEND';
    }, 8, 'N', 0, 4);
    truncate($file, $to) or die "cannot write: $!\n";
    close($file) or die "cannot write: $!\n";
}

sub joined {
    my ($format, $path, $target, @frames) = @_;
    my (undef, undef, undef, $loops, @durations) = @{told($format, $path)};
    my ($flags, $width, $height, $profile, @made) = (0x02, 0, 0, '');
    if ($format eq 'webp') {
        # Of what moves ImageMagick reads no profile.
        my $file = opened($path);
        chunks($file, sub { $profile = bytes($file, $_[1]) // '' if $_[0] eq 'ICCP'; return $_[0] eq 'ANMF' }, 12, 'V', 1, 0);
    }
    for my $frame (@frames) {
        my ($file, $picture, $lossless) = (opened($frame), '', 0);
        chunks($file, sub {
            my ($name, $length, $at) = @_;
            my $body = bytes($file, $length) // die "a frame is not complete\n";
            if ($name eq 'VP8X') {
                $flags |= ord($body) & 0x10;
                ($width, $height) = map { 1 + unpack('V', "$_\0") } unpack('x4 a3 a3', $body);
            } elsif ($name eq 'VP8L') {
                my $bits = unpack('x V', $body);
                ($width, $height) = (($bits & 0x3fff) + 1, ($bits >> 14 & 0x3fff) + 1);
                $flags |= 0x10 if $bits >> 28 & 1;
            } elsif ($name eq 'VP8 ') {
                ($width, $height) = map { $_ & 0x3fff } unpack('x6 v v', $body);
            }
            $profile ||= $body if $name eq 'ICCP';
            $picture .= chunk($name, $body) if $name =~ /^(ALPH|VP8 |VP8L)$/;
            return 0;
        }, 12, 'V', 1, 0);
        my $lasts = shift(@durations) // 100;
        # Whole frames, each in the place of the one before.
        my $head = pack('x6 a3 a3 a3 C', three($width - 1), three($height - 1), three($lasts), 0x02);
        push @made, chunk('ANMF', $head . $picture);
    }
    $flags |= 0x20 if $profile;
    my $body = 'WEBP' . chunk('VP8X', pack('C x3 a3 a3', $flags, three($width - 1), three($height - 1)));
    $body .= chunk('ICCP', $profile) if $profile;
    $body .= chunk('ANIM', pack('V v', 0, $loops)) . join('', @made);
    my $out = opened($target, '>');
    print {$out} 'RIFF', pack('V', length $body), $body or die "cannot write: $!\n";
    close($out) or die "cannot write: $!\n";
}

sub chunk { my ($name, $body) = @_; return $name . pack('V', length $body) . $body . ("\0" x (length($body) % 2)) }

sub three { return substr(pack('V', $_[0]), 0, 3) }

my $order = shift @ARGV;
if ($order eq 'count') { print join(' ', @{told(@ARGV)}[0 .. 2]), "\n" }
elsif ($order eq 'profile') { profile(@ARGV) }
elsif ($order eq 'lean') { lean(@ARGV) }
elsif ($order eq 'join') { joined(@ARGV) }
else { die "count, profile, lean or join\n" }
