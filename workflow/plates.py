"""Figures on dark pages: the same drawing in light ink on dark ground, where that is safe.

It is safe if all that is drawn would be seen as well there: no picture of points or colours inside
(words stand on those), no pale area, and no colour too dark. Others keep their white plate.
"""

import re

GROUND, INK = (0x12, 0x12, 0x12), (0xE6, 0xE6, 0xE6)
COLOUR = re.compile(r"#([0-9a-f]{6})\b")
#: The most luminance of a colour that ink may stand on.
PALE = 0.55
#: The least contrast of anything but grey to the ground.
CONTRAST = 3
#: A drawing that is this much higher than wide is shown at more height.
HIGH = 1.2
SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
IMAGE = re.compile(r'<img\b[^>]*?\bsrc="([^"]*_images/[^"]+\.svg)"[^>]*>')


PLACES = re.compile(r' (?:d|x|y)="[^"]*"')
DECIMALS = re.compile(r"(\.\d\d)\d+")
REMARKS = re.compile(
    r"<!--.*?-->|<metadata>.*?</metadata>|^\s+|(?<=<g) id=\"\w+\"", re.DOTALL | re.M
)


def slim(svg):
    """The drawing without remarks and names of groups, its lines to a hundredth of a point.

    >>> slim('<svg><!-- x -->\\n  <g id="a_1"><path id="b" d="M 1.23456 2 L 0.5 9.999"/></g></svg>')
    '<svg>\\n<g><path id="b" d="M 1.23 2 L 0.5 9.99"/></g></svg>'
    """
    return PLACES.sub(lambda places: DECIMALS.sub(r"\1", places[0]), REMARKS.sub("", svg))


def luminance(red, green, blue):
    """Relative luminance of a colour of 8-bit channels, as WCAG 2 defines it.

    >>> luminance(255, 255, 255), luminance(0, 0, 0)
    (1.0, 0.0)
    """
    parts = [c / 255 for c in (red, green, blue)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast of two colours, from 1 to 21."""
    light, dark = sorted((luminance(*one), luminance(*other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def dark(svg):
    """The drawing for dark pages, or None where it must keep its white plate."""
    if "<image" in svg:
        return None
    for found in set(COLOUR.findall(svg)):
        colour = _channels(found)
        if not _is_grey(colour) and contrast(colour, GROUND) < CONTRAST:
            return None
        if not _is_grey(colour) and luminance(*colour) > PALE:
            return None
    changed = COLOUR.sub(lambda match: _turned(_channels(match[1])), svg)
    # What has no colour of its own is black.
    return changed.replace("<svg ", f'<svg fill="{_hex(INK)}" ', 1)


def _turned(colour):
    """Greys between ink and ground, in place of those between black and white."""
    if not _is_grey(colour):
        return _hex(colour)
    share = colour[0] / 255
    return _hex(tuple(round(i + (g - i) * share) for i, g in zip(INK, GROUND, strict=True)))


def _is_grey(colour):
    return max(colour) - min(colour) <= 8


def _channels(text):
    return tuple(int(text[i : i + 2], 16) for i in (0, 2, 4))


def _hex(colour):
    return "#" + "".join(f"{c:02x}" for c in colour)


def pair(site):
    """Make the site's drawings slim, give each safe one its dark twin; return how many have one."""
    twins, high = {}, set()
    for path in sorted((site / "_images").glob("*.svg")):
        drawn = slim(path.read_text("utf-8"))
        path.write_text(drawn, "utf-8")
        if (size := SIZE.search(drawn)) and float(size[2]) > HIGH * float(size[1]):
            high.add(path.name)
        if (turned := dark(drawn)) is not None:
            twin = path.with_name(f"{path.stem}-dark.svg")
            twin.write_text(turned, "utf-8")
            twins[path.name] = twin.name

    def both(match):
        name = match[1].rpartition("/")[2]
        image = _classed(match[0], "companion-high") if name in high else match[0]
        if name not in twins:
            return image
        other = image.replace(f"/{name}", f"/{twins[name]}")
        other = other.replace("<img", '<img loading="lazy"', 1)  # only where it is shown
        return _classed(image, "companion-light") + _classed(other, "companion-dark dark-light")

    for path in sorted(site.rglob("*.html")):
        text = path.read_text("utf-8")
        changed = IMAGE.sub(both, text)
        if changed != text:
            path.write_text(changed, "utf-8")
    return len(twins)


def _classed(image, name):
    if 'class="' in image:
        return image.replace('class="', f'class="{name} ', 1)
    return image.replace("<img", f'<img class="{name}"', 1)
