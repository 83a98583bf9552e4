/**
 * Which demuxers may look at a file that came from outside. Containers and elementary streams that hold what they say;
 * none that names other files or places (concat, hls, dash, playlists, image patterns, avisynth, sdp, tee …), so that a file
 * which pretends to be a video cannot make FFmpeg read another one (see ffmpeg-formats(1), "Demuxers").
 */

/** The names, for FFmpeg's `-format_whitelist`. One name of a demuxer with several is enough. */
export const DEMUXERS: string = (
  "aac ac3 ac4 aiff amr ape asf ass au avi caf dsf dts dtshd dv eac3 flac flv gif h264 hevc iff ivf jacosub jpeg_pipe " +
  "matroska mjpeg mov mp3 mpc mpc8 mpeg mpegts mpegvideo mxf nsv nut obu oga ogg oma png_pipe rm srt spx swf tta ttml vivo voc " +
  "w64 wav webm webp_pipe webvtt wsaud wtv wv xwma 3gp m4v loas mka truehd mlp tak shn bmp_pipe microdvd subviewer"
).replaceAll(" ", ",");
