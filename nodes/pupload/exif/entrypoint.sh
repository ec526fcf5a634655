#!/bin/sh
#
# Tells what a picture's metadata say.
#
#   INPUT_IMAGE       the picture to read
#   OUTPUT_METADATA   the file to write, JSON
#   FLAG_GPS          false leaves out where the picture was taken
#   FLAG_NUMBERS      true gives numbers as they are stored, 0.004 for 1/250
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_METADATA:-}
path INPUT_IMAGE "$source"
path OUTPUT_METADATA "$target"
# Everything but what is the file system's own, times and rights; places as degrees with a point.
set -- -File:all -EXIF:all -JFIF:all -XMP:all -IPTC:all -Photoshop:all -ICC_Profile:all -MakerNotes:all -MPF:all -PNG:all -RIFF:all \
    -GIF:all -QuickTime:all -APP12:all -APP14:all -JUMBF:all -PrintIM:all -Composite:all -ExifTool:Warning -ExifTool:Error \
    --System:all -c %.6f
if ! boolean gps "${FLAG_GPS:-true}"; then
    set -- "$@" --GPS:all --GPS* --Composite:GPS* --Location* --City --Sub-location --Province-State --State --Country* --Landmark \
        --GeoTag* --Geolocation*
fi
if boolean numbers "${FLAG_NUMBERS:-}"; then set -- "$@" -n; fi

input INPUT_IMAGE "$source"
picture_metadata "$source"
code=0
timeout 120 exiftool -config '' -q -q -m -fast -json -g "$@" "/tmp/picture.$from" >/tmp/metadata.json 2>/tmp/said || code=$?
# Of a list of one, the one; and not under the name that we gave it.
sed -e '1s/^\[//' -e '$s/\]$//' -e '/^  "SourceFile": /d' /tmp/metadata.json >"$target"
error=$(sed -n 's/^    "Error": "\(.*\)",\{0,1\}$/\1/p' "$target")
if [ "$code" != 0 ] || [ -n "$error" ] || [ ! -s "$target" ]; then
    rm -f "$target"
    reason=$(tail -n 1 /tmp/said | sed 's/ - \/tmp.*//;s/ at \/usr.*//')
    picture_unread "$code" "${error:-$reason}"
fi
say "Metadata read: $(grep -c '^    ' "$target") values from a $from picture" 1
