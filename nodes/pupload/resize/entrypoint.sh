#!/bin/sh
#
# Makes a picture smaller.
#
# Everything comes in by the environment, as the node contract has it, and every value is checked before it is used:
#   INPUT_IMAGE      the picture to read
#   OUTPUT_RESIZED   the file to write
#   FLAG_WIDTH, FLAG_HEIGHT   the box to fit into, in pixels; one of them, both, or none (the size stays)
#   FLAG_QUALITY     1 to 100, for formats that lose detail (85)
#   FLAG_FORMAT      jpeg, png, webp, tiff, gif, or same (the default)
#   FLAG_ENLARGE     true makes a small picture larger; the default leaves it as it is
#
# Exit codes: 0 done, 64 a flag or path is wrong, 65 the input is no picture we read, 70 it did not work out, 71 too large
# for this container's memory. What it has to say is one JSON line each: errors on stderr, the rest on stdout.
set -eu

MOST_PIXELS=120000000
MOST_EDGE=32000

# Text fit to stand between quotation marks in a line of JSON.
plain() { printf '%s' "$*" | LC_ALL=C tr -cd ' !#-[]-~' | cut -c1-300; }

die() {
    code=$1
    shift
    printf '{"level":"ERROR","message":"%s"}\n' "$(plain "$*")" >&2
    exit "$code"
}

# A whole number within bounds, without leading zeros, or nothing.
number() {
    name=$1 value=$2 least=$3 most=$4
    case $value in
    '') return ;;
    *[!0-9]* | 0* | ??????*) die 64 "flag $name must be a whole number from $least to $most, not '$value'" ;;
    esac
    if [ "$value" -lt "$least" ] || [ "$value" -gt "$most" ]; then
        die 64 "flag $name must be a whole number from $least to $most, not '$value'"
    fi
}

# ImageMagick reads meaning into some characters of a file name.
path() {
    case $2 in
    '') die 64 "$1 is not set: this image runs as a node of a flow and expects the path there" ;;
    *[!A-Za-z0-9._/-]* | [!/]*) die 64 "$1 must be an absolute path of letters, digits, '.', '_', '-'" ;;
    esac
}

# The format told from the first bytes, never from a name.
format_of() {
    case $(od -An -tx1 -N16 "$1" | tr -d ' \n') in
    ffd8ff*) echo jpeg ;;
    89504e470d0a1a0a*) echo png ;;
    52494646????????57454250*) echo webp ;;
    49492a00* | 4d4d002a*) echo tiff ;;
    474946383[79]61*) echo gif ;;
    ????????6674797061766966*) echo avif ;;                                          # ftypavif
    ????????66747970686569[67]* | ????????66747970686576[3]* | ????????667479706d696631*) echo heic ;; # heic, heix, hevc, mif1
    esac
}

# Bytes that pixels may take: three quarters of what the container may use (cgroup v2, then v1).
memory_limit() {
    most=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
    case $most in
    *[!0-9]* | ????????????*) echo 1610612736 ;;
    *) echo $((most * 3 / 4)) ;;
    esac
}

input=${INPUT_IMAGE:-} output=${OUTPUT_RESIZED:-}
width=${FLAG_WIDTH:-} height=${FLAG_HEIGHT:-} quality=${FLAG_QUALITY:-85} format=${FLAG_FORMAT:-same}
path INPUT_IMAGE "$input"
path OUTPUT_RESIZED "$output"
number width "$width" 1 $MOST_EDGE
number height "$height" 1 $MOST_EDGE
number quality "$quality" 1 100
case $format in
jpg) format=jpeg ;;
tif) format=tiff ;;
same | jpeg | png | webp | tiff | gif) ;;
*) die 64 "flag format must be one of same, jpeg, png, webp, tiff, gif, not '$format'" ;;
esac
case ${FLAG_ENLARGE:-false} in
true | 1) only_shrink= ;;
false | 0) only_shrink='>' ;;
*) die 64 "flag enlarge must be true or false, not '$FLAG_ENLARGE'" ;;
esac

[ -f "$input" ] || die 65 "there is no readable file at $input"
from=$(format_of "$input")
[ -n "$from" ] || die 65 "the input is not a picture in one of the formats JPEG, PNG, WebP, TIFF, GIF, HEIC, AVIF"
if [ "$format" = same ]; then
    case $from in
    # Nobody's browser thanks us for HEIC, and this image cannot write it.
    heic | avif) format=jpeg ;;
    *) format=$from ;;
    esac
fi

MAGICK_MEMORY_LIMIT=$(memory_limit)
# Scratch files belong to the one place that can be written.
export MAGICK_MEMORY_LIMIT MAGICK_TEMPORARY_PATH=/tmp HOME=/tmp

too_large() { die 71 "this ${columns:-?}x${rows:-?} $from picture does not fit into the memory of this tier; try a larger one"; }

# What ImageMagick complained of, in words for the person whose picture it is.
explain() {
    reason=$(printf '%s\n' "$1" | sed -n '1{s/^[a-z]*-im6.q16: //;s/ [`@].*//;p;}')
    case $1 in
    *'cache resources exhausted'* | *'emory allocation failed'* | *'nable to acquire'*) too_large ;;
    *'exceeds limit'*) die 65 "the picture is more than $MOST_EDGE pixels wide or high" ;;
    *'nable to open'* | *'nable to write'* | *'o space left'*) die 70 "could not read or write a file: $reason" ;;
    *[!\ ]*) die 65 "the $from picture cannot be decoded: it is damaged or not complete ($reason)" ;;
    # Its PNG reader refuses a size over the limit without a word.
    *) die 65 "the $from picture cannot be decoded: it is damaged, or more than $MOST_EDGE pixels wide or high" ;;
    esac
}

# The header alone, before a byte of pixels is decoded. Of several pages or frames, the first.
said=$(identify-im6.q16 -quiet -ping -format '%w %h %[orientation] %[colorspace]\n' "$from:${input}[0]" 2>&1) || explain "$said"
read -r columns rows orientation colours <<EOF
$(printf '%s\n' "$said" | tail -n 1)
EOF
case $columns$rows in '' | *[!0-9]*) explain "$said" ;; esac
[ $((columns * rows)) -le $MOST_PIXELS ] ||
    die 65 "the picture has ${columns}x$rows pixels; the most this node takes is $((MOST_PIXELS / 1000000)) million"

# The picture is turned after it is made smaller, which takes a fraction of the memory: so the box is turned first.
case $orientation in LeftTop | RightTop | RightBottom | LeftBottom) box=$height"x"$width ;; *) box=$width"x"$height ;; esac
if [ "$box" != x ]; then
    # JPEG can be decoded at half, a quarter or an eighth of its size: never below twice what is wanted.
    largest=$width
    [ "${height:-0}" -le "${width:-0}" ] || largest=$height
    if [ "$from" = jpeg ] && [ $((largest * 2)) -lt "$columns" ] && [ $((largest * 2)) -lt "$rows" ]; then
        hint="-define jpeg:size=$((largest * 2))x$((largest * 2))"
    fi
    resize="-resize $box$only_shrink"
fi

# Ten bytes a pixel: not all of ImageMagick's readers say so when they run out of memory.
if [ -z "${hint:-}" ] && [ $((columns * rows * 10)) -gt "$MAGICK_MEMORY_LIMIT" ]; then too_large; fi

# Out go EXIF, GPS, XMP, comments, times; the colour profile stays, for without it the colours would be wrong.
case $format in
jpeg) finish='-background white -alpha remove -alpha off -interlace JPEG' ;;
png) finish='-define png:exclude-chunk=bKGD,caNv,eXIf,iTXt,tEXt,zCCP,zTXt,tIME,date' ;;
tiff) finish='-compress LZW' ;;
*) finish= ;;
esac
keep='!icc,*'
case $colours:$format in
# PNG, WebP and GIF have no CMYK; a profile for four inks must not stay on three colours.
CMYK:png | CMYK:webp | CMYK:gif) keep='*' finish="$finish -colorspace sRGB" ;;
esac

printf '{"level":"INFO","message":"Resizing a %sx%s %s picture","progress":0.1}\n' "$columns" "$rows" "$from"
set -f
# shellcheck disable=SC2086 # several arguments each, made above of checked parts
said=$(convert-im6.q16 ${hint:-} "$from:${input}[0]" +repage ${resize:-} -auto-orient +profile "$keep" +set comment $finish \
    -quality "$quality" -format 'now %wx%h\n' -identify "$format:$output" 2>&1) || broken=1
case $said in
# Only a warning to ImageMagick, which would fill the rest with grey.
*'remature end'* | *'nsufficient image data'* | *'ot enough '* | *'nexpected end'* | *'runcated'*) broken=1 ;;
esac
if [ -n "${broken:-}" ] || [ ! -s "$output" ]; then
    rm -f "$output"
    explain "$said"
fi
now=$(printf '%s\n' "$said" | sed -n 's/^now //p' | tail -n 1)
printf '{"level":"INFO","message":"Image resized successfully: %sx%s %s to %s %s, %s bytes","progress":1}\n' \
    "$columns" "$rows" "$from" "$now" "$format" "$(wc -c <"$output")"
