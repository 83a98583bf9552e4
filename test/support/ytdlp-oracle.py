"""Asks yt-dlp itself what selectors and templates come to. Offline: nothing is extracted, nothing is fetched.

Standard input: {"selectors": [{"formats": [...], "format": "...", "sort": [...]}], "templates": [{"template": "...", "info": {...}}]}
Standard output: {"selectors": [["137+140"] | "invalid" ...], "templates": ["name" ...]}
"""
import json
import sys

from yt_dlp import YoutubeDL
from yt_dlp.version import __version__

# The order of today's manual: older versions put a limit on vcodec.
ORDER = ['lang', 'quality', 'res', 'fps', 'hdr:12', 'vcodec', 'channels', 'acodec']


class Silent:
    def debug(self, message): pass
    def warning(self, message): pass
    def error(self, message): pass


def select(ydl, case):
    ydl.params['format_sort'] = case['sort'] + ORDER
    info = {'id': 'x', 'title': 'x', 'extractor': 'x', 'extractor_key': 'X', 'webpage_url': 'http://x.invalid/',
            'formats': [dict(each) for each in case['formats'] if not each.get('has_drm')]}
    ydl.sort_formats(info)
    formats = info['formats']
    try:
        selector = ydl.build_format_selector(case['format'])
    except (SyntaxError, ValueError):
        return 'invalid'
    picked = selector({
        'formats': formats,
        'has_merged_format': any('none' not in (f.get('acodec'), f.get('vcodec')) for f in formats),
        'incomplete_formats': (
            all(f.get('vcodec') != 'none' and f.get('acodec') == 'none' for f in formats)
            or all(f.get('vcodec') == 'none' and f.get('acodec') != 'none' for f in formats)),
    })
    return ['+'.join(f['format_id'] for f in each.get('requested_formats', [each])) for each in picked]


def fill(ydl, case):
    info = dict(case['info'])
    # What yt-dlp knows of the playlist that it is in.
    info['__last_playlist_index'] = info.get('playlist_count')
    return ydl.evaluate_outtmpl(case['template'], info, lambda field, value: value)


def told(work, case):
    try:
        return work(case)
    except Exception as error:  # What it breaks on is an answer as well.
        return f'{type(error).__name__}: {error}'


asked = json.load(sys.stdin)
with YoutubeDL({'logger': Silent(), 'quiet': True, 'cachedir': False}) as ydl:
    json.dump({
        'version': __version__,
        'selectors': [told(lambda case: select(ydl, case), each) for each in asked['selectors']],
        'templates': [told(lambda case: fill(ydl, case), each) for each in asked['templates']],
    }, sys.stdout)
