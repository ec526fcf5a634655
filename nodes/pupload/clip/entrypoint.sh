#!/bin/sh
#
# Cuts a piece out of a video or a sound.
#
#   INPUT_MEDIA     the file to read
#   OUTPUT_CLIP     the file to write
#   FLAG_START      the second at which it begins
#   FLAG_END        the second at which it ends; or
#   FLAG_DURATION   how many seconds it lasts
#   FLAG_MODE       exact (encoded anew) or copy (as it is, beginning where it can begin)
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_CLIP:-} start=${FLAG_START:-0} end=${FLAG_END:-} duration=${FLAG_DURATION:-} mode=${FLAG_MODE:-exact}
path OUTPUT_CLIP "$output"
decimal start "$start" 0 "$MEDIA_MOST_SECONDS"
decimal end "$end" 0 "$MEDIA_MOST_SECONDS"
decimal duration "$duration" 0.01 "$MEDIA_MOST_SECONDS"
choice mode "$mode" exact copy
[ -z "$end" ] || [ -z "$duration" ] || die 64 "flag end and flag duration exclude each other: set one of them"

# length BOUND: microseconds from the start to there.
length() { awk -v from="$start" -v to="$1" 'BEGIN { printf "%.0f", (to - from) * 1e6 }'; }

wanted=
[ -z "$duration" ] || wanted=$(awk -v seconds="$duration" 'BEGIN { printf "%.0f", seconds * 1e6 }')
[ -z "$end" ] || wanted=$(length "$end")
[ "${wanted:-1}" -gt 0 ] || die 64 "flag end must be later than flag start, which is $start"

media_open INPUT_MEDIA "${INPUT_MEDIA:-}"
left=$((MEDIA_MOST_SECONDS * 1000000))
if [ "$media_microseconds" -gt 0 ]; then
    left=$(length "$(awk -v us="$media_microseconds" 'BEGIN { printf "%.6f", us / 1e6 }')")
    [ "$left" -gt 0 ] || die 65 "flag start is $start, but the input lasts only $((media_microseconds / 1000)) ms"
fi
if [ -z "$wanted" ] || [ "$wanted" -gt "$left" ]; then wanted=$left; fi

case $media_picture:$media_sounds in
-:*) streams='-map 0:a:0' ;;
*:0) streams='-map 0:V:0' ;;
*) streams='-map 0:V:0 -map 0:a:0' ;;
esac

# Where what is only copied goes: what held it already, or Matroska, which holds everything.
same_container() {
    case $media_kind:$media_picture in
    mp3:-) echo '-f mp3' ;;
    aac:-) echo '-f adts' ;;
    flac:-) echo '-f flac' ;;
    wav:-) echo '-rf64 auto -f wav' ;;
    ogg:-) echo '-f ogg' ;;
    mov:*)
        # QuickTime's own files hold what MP4 may not.
        case $(starts "$media_path" 12) in ????????6674797071742020) brand=mov ;; ????????66747970*) brand=mp4 ;; *) brand=mov ;; esac
        case $media_picture:$media_sound in
        -:aac | -:alac) brand=ipod ;;
        *:pcm_*) brand=mov ;;
        esac
        echo "-movflags +faststart -f $brand"
        ;;
    *)
        case $media_picture:$media_sound in
        vp[89]:opus | vp[89]:vorbis | vp[89]:- | av1:opus | av1:vorbis | av1:- | -:opus | -:vorbis) echo '-f webm' ;;
        *) echo '-f matroska' ;;
        esac
        ;;
    esac
}

case $mode:$media_picture in
copy:*) how="-c copy -avoid_negative_ts make_zero $(same_container)" ;;
exact:-) how=$(media_encoder "$(media_same)" 192) ;;
exact:*)
    how="-c:v libx264 -preset medium -crf 20 -pix_fmt yuv420p -threads $media_processors -fps_mode vfr -c:a aac -b:a 192k"
    [ "$media_channels" -le 2 ] || how="$how -ac 2"
    how="$how -movflags +faststart -f mp4"
    ;;
esac
filter=
if [ "$mode:$media_picture" != "exact:-" ] && [ "$mode" = exact ]; then filter="-vf $(media_scale '' '')"; fi

seconds=$(awk -v us="$wanted" 'BEGIN { printf "%.6f", us / 1e6 }')
media_before="-ss $start -t $seconds"
say "Cutting $seconds s from second $start on ($mode)" 0.001
# shellcheck disable=SC2086 # several arguments each, made above of checked parts
media_run "$wanted" 0 980 $streams -sn -dn -map_metadata -1 -map_chapters -1 $filter $how "file:$output"
if [ ! -s "$output" ] || [ "$media_reached" = 0 ]; then
    die 65 "there is nothing to be read at second $start of the input; it is damaged, or shorter than it says"
fi
say "Clip cut: $((media_reached / 1000)) ms, $(wc -c <"$output") bytes" 1
