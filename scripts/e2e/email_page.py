"""Takes pictures of the pages in a folder, and measures them.

Usage: email_page.py BROWSER FOLDER. Pictures lie beside the pages, NAME-WIDTH-MODE.png.
"""

import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

WIDTHS = (320, 600, 1280)
HEIGHT = 1400
# By mode: what Blink calls it (its enum PreferredColorScheme), background, text and links.
MODES = {
    "light": (1, (0xFF, 0xFF, 0xFF), (0x0B, 0x0C, 0x0C), (0x1D, 0x70, 0xB8)),
    "dark": (0, (0x0B, 0x0C, 0x0C), (0xFF, 0xFF, 0xFF), (0x8E, 0xB8, 0xDC)),
}
# The text column, and the least space beside it.
COLUMN = 580
MARGIN = 10
# WCAG 2.2, level AA, for text of any size.
CONTRAST = 4.5


def take(browser, page, picture, width, scheme, profile):
    """Headless, and without a sandbox because that needs a user of its own; the pages are ours and have no scripts."""
    picture.unlink(missing_ok=True)
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--window-size={width},{HEIGHT}",
        f"--screenshot={picture}",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or not picture.exists():
        sys.exit(f"{page.name}: no picture was taken\n{done.stderr}")


def luminance(colour):
    channels = (value / 255 for value in colour)
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def counted(image):
    """How many pixels there are of each colour."""
    return {colour: count for count, colour in image.getcolors(image.width * image.height)}


def problems(picture, width, mode, has_link):
    _, background, text, link = MODES[mode]
    image = Image.open(picture).convert("RGB")
    if image.size != (width, HEIGHT):
        yield f"is {image.size} and not {width} wide"
        return
    colours = counted(image)
    if max(colours, key=colours.get) != background:
        yield f"has the background {max(colours, key=colours.get)}"
    # Anything that sticks out reaches an edge; on a wide page, anything outside of the column does.
    free = max(MARGIN, (width - COLUMN) // 2)
    for side, box in {"left": (0, 0, free, HEIGHT), "right": (width - free, 0, width, HEIGHT)}.items():
        if set(counted(image.crop(box))) != {background}:
            yield f"has something in its {side} margin"
    last_row = image.crop((0, HEIGHT - 1, width, HEIGHT))
    if set(counted(last_row)) != {background}:
        yield f"is longer than {HEIGHT}, so that its end was not looked at"
    if colours.get(text, 0) < 200:
        yield f"has {colours.get(text, 0)} pixels of text: it looks blank"
    if has_link and colours.get(link, 0) < 20:
        yield f"has {colours.get(link, 0)} pixels of links"
    for name, colour in (("text", text), ("link", link)):
        if contrast(colour, background) < CONTRAST:
            yield f"has a {name} of too little contrast"


def main():
    browser, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    pages = sorted(folder.glob("*.html"))
    if not pages:
        sys.exit(f"no pages in {folder}")
    failed = []
    with tempfile.TemporaryDirectory() as profile:
        for page in pages:
            has_link = "<a " in page.read_text()
            for width in WIDTHS:
                for mode, (scheme, *_) in MODES.items():
                    picture = page.with_name(f"{page.stem}-{width}-{mode}.png")
                    take(browser, page, picture, width, scheme, profile)
                    failed += [f"{picture.name} {problem}" for problem in problems(picture, width, mode, has_link)]
    for failure in failed:
        print(failure)
    if failed:
        sys.exit(f"e-mail pages: {len(failed)} problems, see the pictures in {folder}")
    print(f"e-mail pages: {len(pages)} pages, {len(WIDTHS)} widths, light and dark: all good")


main()
