#!/bin/sh
#
# Makes a picture smaller.
#
# Everything comes in by the environment, as the node contract has it:
#   INPUT_IMAGE      the picture to read
#   OUTPUT_RESIZED   the file to write
#   FLAG_WIDTH, FLAG_HEIGHT   the box to fit into, in pixels; one of them, both, or none (the size stays)
#   FLAG_QUALITY     1 to 100, for formats that lose detail (85)
#   FLAG_FORMAT      jpeg, png, webp, tiff, gif, or same (the default)
#   FLAG_FRAMES      all (an animation stays one where the format can move) or first
#   FLAG_ENLARGE     true makes a small picture larger; the default leaves it as it is
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_RESIZED:-}
width=${FLAG_WIDTH:-} height=${FLAG_HEIGHT:-} quality=${FLAG_QUALITY:-85} format=${FLAG_FORMAT:-same}
path INPUT_IMAGE "$source"
path OUTPUT_RESIZED "$target"
number width "$width" 1 "$PICTURE_MOST_EDGE"
number height "$height" 1 "$PICTURE_MOST_EDGE"
number quality "$quality" 1 100
case $format in jpg) format=jpeg ;; tif) format=tiff ;; esac
choice format "$format" same jpeg png webp tiff gif
only_shrink='>'
if boolean enlarge "${FLAG_ENLARGE:-}"; then only_shrink=; fi

input INPUT_IMAGE "$source"
picture_header "$source"
if [ "$format" = same ]; then
    case $from in
    # Nobody's browser thanks us for HEIC.
    heic | avif) format=jpeg ;;
    *) format=$from ;;
    esac
fi

picture_frames "$source" "$format"

# The picture is turned after it is made smaller, which takes a fraction of the memory: so the box is turned first.
if picture_lies; then box=$height"x"$width; else box=$width"x"$height; fi
if [ "$box" != x ]; then
    # JPEG can be decoded at half, a quarter or an eighth of its size: never below twice what is wanted.
    largest=$width
    [ "${height:-0}" -le "${width:-0}" ] || largest=$height
    if [ "$from" = jpeg ] && [ $((largest * 2)) -lt "$columns" ] && [ $((largest * 2)) -lt "$rows" ]; then
        hint="-define jpeg:size=$((largest * 2))x$((largest * 2))"
    fi
    resize="-resize $box$only_shrink"
fi
[ -n "${hint:-}" ] || picture_room $((columns * rows))

say "Resizing a ${columns}x$rows $from picture" 0.1
# shellcheck disable=SC2046,SC2086 # several arguments each, made of checked parts
picture_made "$format" "$target" ${hint:-} $taken ${resize:-} -auto-orient \
    $(picture_finish "$format") -quality "$quality"
say "Image resized successfully: ${columns}x$rows $from to $made $format, $(wc -c <"$target") bytes" 1
