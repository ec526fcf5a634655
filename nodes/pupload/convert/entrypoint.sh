#!/bin/sh
#
# Turns a picture into another format.
#
#   INPUT_IMAGE        the picture to read
#   OUTPUT_CONVERTED   the file to write
#   FLAG_FORMAT        jpeg, png, webp, avif or tiff
#   FLAG_FRAMES        all (an animation stays one where the format can move) or first
#   FLAG_QUALITY       1 to 100, for formats that lose detail (JPEG 85, WebP 80, AVIF 60)
#   FLAG_LOSSLESS      true has WebP lose nothing
#   FLAG_BACKGROUND    what shows through where the format has no transparency: white, black, grey, #rrggbb
#   FLAG_METADATA      true keeps EXIF and its like; the default keeps the colour profile alone
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_CONVERTED:-}
format=${FLAG_FORMAT:-} quality=${FLAG_QUALITY:-} PICTURE_BACKGROUND=${FLAG_BACKGROUND:-white}
path INPUT_IMAGE "$source"
path OUTPUT_CONVERTED "$target"
case $format in jpg) format=jpeg ;; tif) format=tiff ;; esac
choice format "$format" jpeg png webp avif tiff
number quality "$quality" 1 100
picture_colour background "$PICTURE_BACKGROUND"
options=
if boolean lossless "${FLAG_LOSSLESS:-}"; then
    [ "$format" = webp ] || die 64 "flag lossless is for webp; png and tiff lose nothing anyway, jpeg and avif cannot"
    options='-define webp:lossless=true'
fi
if boolean metadata "${FLAG_METADATA:-}"; then
    PICTURE_METADATA=keep
fi
case $format in
jpeg) quality=${quality:-85} ;;
webp) quality=${quality:-80} ;;
avif) quality=${quality:-60} ;;
*) quality=95 ;;
esac

input INPUT_IMAGE "$source"
picture_header "$source"
picture_room $((columns * rows))
picture_frames "$source" "$format"
say "Converting a ${columns}x$rows $from picture to $format" 0.1
# AVIF is made of a PNG by a tool that writes its profile and transparency too.
written=$format made_at=$target packed=$quality ignored=
finish=$(picture_finish "$format")
if [ "$format" = avif ]; then
    written=png made_at=$target.png packed=10 finish=$(picture_finish png) options='-depth 8'
    [ "${PICTURE_METADATA:-}" = keep ] || ignored='--ignore-exif --ignore-xmp'
fi
# shellcheck disable=SC2086 # several arguments each, made of checked parts
picture_made "$written" "$made_at" $taken -auto-orient $finish \
    $options -quality "$packed"
if [ "$format" = avif ]; then
    code=0
    # shellcheck disable=SC2086
    avifenc $ignored --speed 6 --jobs 2 --min 0 --max 63 --minalpha 0 --maxalpha 63 -a end-usage=q -a cq-level=$(((100 - quality) * 63 / 100)) \
        "$made_at" "$target" >/tmp/said 2>&1 || code=$?
    rm -f "$made_at"
    if [ "$code" != 0 ]; then
        rm -f "$target"
        [ "$code" -lt 128 ] || picture_too_large
        die 70 "the picture could not be written as AVIF: $(tail -n 1 /tmp/said)"
    fi
fi
say "Converted: $made $from to $format, $(wc -c <"$source") to $(wc -c <"$target") bytes" 1
