#!/bin/sh
#
# Brings a sound, or the sound of a video, to a loudness (EBU R128), in two passes: the first measures, the second corrects.
#
#   INPUT_MEDIA         the file to read
#   OUTPUT_NORMALISED   the file to write
#   FLAG_TARGET         how loud it shall be, in LUFS
#   FLAG_PEAK           the highest true peak, in dBTP
#   FLAG_FORMAT         same, mp3, m4a, opus, flac, wav; anything but same leaves a video's pictures out
#   FLAG_KBITS          for mp3, m4a and opus
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_NORMALISED:-} target=${FLAG_TARGET:--16} peak=${FLAG_PEAK:--1.5} format=${FLAG_FORMAT:-same} kbits=${FLAG_KBITS:-192}
path OUTPUT_NORMALISED "$output"
decimal target "$target" -70 -5
decimal peak "$peak" -9 0
choice format "$format" same mp3 m4a opus flac wav
number kbits "$kbits" 16 320

media_open INPUT_MEDIA "${INPUT_MEDIA:-}"
media_need sound

# What comes out is what is measured: of more than two channels, the two that they are mixed down to.
mixed=
[ "$media_channels" -le 2 ] || mixed=aformat=channel_layouts=stereo,

say "Measuring $((media_microseconds / 1000000)) s of $media_sound" 0.001
media_level=info
media_run "$media_microseconds" 0 400 -map 0:a:0 -vn -sn -dn -af "${mixed}loudnorm=print_format=json" -f null -
media_level=error
media_whole
[ "$media_reached" -gt 0 ] || die 65 "the input is damaged: no sound of it can be decoded"
# The last thing that ffmpeg said, in braces.
read -r loudness true_peak range threshold offset <<END
$(sed -n '/^{/,/^}/p' /tmp/ffmpeg.log | jq -r '[.input_i, .input_tp, .input_lra, .input_thresh, .target_offset] | join(" ")')
END

case $loudness in
-inf)
    warn "the sound is silent, or too short to be measured: it stays as loud as it is"
    filter=anull target=$loudness
    ;;
*)
    say "It has $loudness LUFS, a true peak of $true_peak dBTP and a range of $range LU" 0.4
    # The same gain everywhere keeps the music as it is; where that would go over the peak, the filter rides the gain.
    wide=$(awk -v range="$range" 'BEGIN { printf "%.2f", (range < 11 ? 11 : (range > 20 ? 20 : range)) }')
    filter="loudnorm=I=$target:TP=$peak:LRA=$wide:measured_I=$loudness:measured_TP=$true_peak:measured_LRA=$range"
    filter="$filter:measured_thresh=$threshold:offset=$offset:linear=true"
    ;;
esac

picture=-vn
case $format:$media_picture:$media_kind in
same:-:*) how=$(media_encoder "$(media_same)" "$kbits") ;;
same:*:mov) picture='-map 0:V:0 -c:v copy' how="-c:a aac -b:a ${kbits}k -movflags +faststart -f mp4" ;;
same:vp[89]:matroska | same:av1:matroska) picture='-map 0:V:0 -c:v copy' how="-c:a libopus -b:a ${kbits}k -f webm" ;;
same:*) picture='-map 0:V:0 -c:v copy' how="-c:a aac -b:a ${kbits}k -f matroska" ;;
*) how=$(media_encoder "$format" "$kbits") ;;
esac
# The filter works at 192 kHz. Above 48 kHz nobody hears anything, and half of the formats end.
[ "$media_rate" -le 48000 ] || media_rate=48000

# shellcheck disable=SC2086 # several arguments each, made above of checked parts
media_run "$media_microseconds" 400 980 $picture -map 0:a:0 -sn -dn -map_metadata -1 -map_chapters -1 \
    -af "$mixed$filter" -ar "$media_rate" $how "file:$output"
say "Loudness normalised: from $loudness to $target LUFS, $(wc -c <"$output") bytes" 1
