#!/bin/sh
#
# Takes the metadata out of a picture and leaves its pixels as they are.
#
#   INPUT_IMAGE        the picture to read
#   OUTPUT_STRIPPED    the file to write, in the same format
#   FLAG_ORIENTATION   false also takes out how the picture is to be turned
#   FLAG_PROFILE       false also takes out the colour profile
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_STRIPPED:-}
path INPUT_IMAGE "$source"
path OUTPUT_STRIPPED "$target"
set -- -all= -CommonIFD0= -trailer:all=
profile=
if boolean profile "${FLAG_PROFILE:-true}"; then profile=1 && set -- "$@" --ICC_Profile:all; fi
turn=
if boolean orientation "${FLAG_ORIENTATION:-true}"; then turn=1; fi

input INPUT_IMAGE "$source"
picture_metadata "$source"

explain() {
    reason=$(tail -n 1 /tmp/said | sed 's/ - \/[a-z].*//;s/ at \/usr.*//')
    rm -f "$target"
    picture_unread "$1" "$reason"
}

exif() { timeout 120 exiftool -config '' -q -q "$@" 2>/tmp/said || explain "$?"; }

# HEIC and AVIF say elsewhere how they are to be turned, which stays.
case $from in heic | avif) turn= ;; esac
[ -z "$turn" ] || turn=$(exif -m -fast -n -s3 -IFD0:Orientation "/tmp/picture.$from")
case $turn in [2-8]) set -- "$@" "-IFD0:Orientation#=$turn" ;; esac
say "Taking the metadata out of a $from picture" 0.1
if [ "$from" = webp ]; then
    perl /usr/local/lib/pupload/webp.pl "$source" /tmp/chunks.webp "$profile" 2>/tmp/said || explain "$?"
    ln -sf /tmp/chunks.webp /tmp/picture.webp
fi
exif -m "$@" -o "$target" "/tmp/picture.$from"
[ -s "$target" ] || explain 1

# Believed only when looked at: nobody would see what was left.
ln -sf "$target" "/tmp/stripped.$from"
exif -m -a -u -s -EXIF:Make -EXIF:Model -EXIF:Artist -EXIF:Copyright -EXIF:Software -EXIF:ImageDescription -EXIF:UserComment \
    -EXIF:*Date* -EXIF:*Serial* -EXIF:*Owner* -GPS:all -XMP:all -IPTC:all -Photoshop:all -MakerNotes:all -Comment -PNG:Author \
    -PNG:Comment -Trailer:all "/tmp/stripped.$from" >/tmp/left
left=$(cut -d: -f1 /tmp/left | tr -d ' ' | tr '\n' ' ')
if [ -n "$left" ]; then
    rm -f "$target"
    die 65 "not all metadata could be taken out of this $from picture ($left): convert it to another format, which loses them"
fi
say "Metadata taken out: $(size "$source") bytes became $(size "$target")" 1
