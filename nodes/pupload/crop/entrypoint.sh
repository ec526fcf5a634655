#!/bin/sh
#
# Cuts a piece out of a picture.
#
#   INPUT_IMAGE      the picture to read
#   OUTPUT_CROPPED   the file to write
#   FLAG_WIDTH, FLAG_HEIGHT   of the piece, in pixels; what is left out is the picture's, or follows from the aspect
#   FLAG_ASPECT      W:H, the largest piece of that shape within width and height
#   FLAG_GRAVITY     where the piece is taken: center, north, northeast, ... (northwest where x or y is given, else center)
#   FLAG_X, FLAG_Y   how far from there it is moved, in pixels
#   FLAG_FORMAT      jpeg, png, webp, tiff, gif, or same (the default)
#   FLAG_FRAMES      all (an animation stays one where the format can move) or first
#   FLAG_QUALITY     1 to 100, for formats that lose detail (90)
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_CROPPED:-}
width=${FLAG_WIDTH:-} height=${FLAG_HEIGHT:-} aspect=${FLAG_ASPECT:-} gravity=${FLAG_GRAVITY:-}
x=${FLAG_X:-} y=${FLAG_Y:-} format=${FLAG_FORMAT:-same} quality=${FLAG_QUALITY:-90}
path INPUT_IMAGE "$source"
path OUTPUT_CROPPED "$target"
number width "$width" 1 "$PICTURE_MOST_EDGE"
number height "$height" 1 "$PICTURE_MOST_EDGE"
case $aspect in
'') across=0 down=0 ;;
*:*)
    across=${aspect%%:*} down=${aspect#*:}
    for side in "$across" "$down"; do
        case $side in '' | 0* | *[!0-9]* | ?????*) die 64 "flag aspect must be two whole numbers such as 16:9, not '$aspect'" ;; esac
    done
    ;;
*) die 64 "flag aspect must be two whole numbers such as 16:9, not '$aspect'" ;;
esac
# Whoever says where it begins counts from the upper left corner, unless told otherwise.
if [ -z "$gravity" ]; then
    gravity=northwest
    [ -n "$x$y" ] || gravity=center
fi
picture_gravity gravity "$gravity"
number x "$x" 0 "$PICTURE_MOST_EDGE"
number y "$y" 0 "$PICTURE_MOST_EDGE"
case $format in jpg) format=jpeg ;; tif) format=tiff ;; esac
choice format "$format" same jpeg png webp tiff gif
number quality "$quality" 1 100
x=${x:-0} y=${y:-0}
[ -n "$width$height$aspect" ] || die 64 "say how large the piece is: set width, height or aspect"

input INPUT_IMAGE "$source"
picture_header "$source"
picture_room $((columns * rows))
[ "$format" != same ] || format=$(picture_same)
picture_frames "$source" "$format"

# The piece never reaches beyond the picture; from the middle, moving it takes from both sides.
most_width=$((upright_columns - x)) most_height=$((upright_rows - y))
case $gravity in center | north | south) most_width=$((most_width - x)) ;; esac
case $gravity in center | east | west) most_height=$((most_height - y)) ;; esac
if [ "$most_width" -lt 1 ] || [ "$most_height" -lt 1 ]; then
    die 65 "nothing of the ${upright_columns}x$upright_rows picture lies $x,$y pixels from there: choose a smaller x and y"
fi
[ "${width:-$PICTURE_MOST_EDGE}" -lt "$most_width" ] || width=$most_width
[ "${height:-$PICTURE_MOST_EDGE}" -lt "$most_height" ] || height=$most_height
if [ "$across" -gt 0 ]; then
    if [ $((width * down)) -gt $((height * across)) ]; then
        width=$(((height * across + down / 2) / down))
    else
        height=$(((width * down + across / 2) / across))
    fi
    [ "$width" -gt 0 ] || width=1
    [ "$height" -gt 0 ] || height=1
fi

say "Cutting ${width}x$height out of a ${upright_columns}x$upright_rows $from picture" 0.1
# shellcheck disable=SC2046,SC2086 # several arguments each, made of checked parts
picture_made "$format" "$target" $taken -auto-orient \
    -gravity "$gravity" -crop "${width}x$height+$x+$y" +repage $(picture_finish "$format") -quality "$quality"
say "Cropped: ${upright_columns}x$upright_rows $from to $made $format, $(wc -c <"$target") bytes" 1
