"""A readable text from HTML, for those who want no HTML. Simple on purpose: words, lines, link targets."""

import re
from html.parser import HTMLParser

_SILENT = frozenset({"head", "script", "style", "title", "template"})
_BLOCKS = frozenset(
    {"address", "article", "blockquote", "div", "dl", "dt", "dd", "figure", "footer", "form", "header", "hr", "main"}
    | {"nav", "ol", "p", "pre", "section", "table", "tr", "ul", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0
        self._link: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in _BLOCKS:
            self._break(tag)
        elif tag == "td":
            self.parts.append(" ")
        elif tag == "a":
            self._link = (dict(attrs).get("href") or "", len(self.parts))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self._break(tag)
        elif tag == "a" and self._link is not None:
            (target, start), self._link = self._link, None
            words = "".join(self.parts[start:]).strip()
            if target.startswith(("http://", "https://", "mailto:")) and target.removeprefix("mailto:") != words:
                self.parts.append(f" ({target})")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        self.parts.append("\n\n" if tag in _PARAGRAPHS else "\n")


def text_of_html(html: str) -> str:
    """The text of an HTML document or fragment: no tags, no scripts, at most one empty line in a row."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(parser.parts))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]{2,}", " ", text)).strip() + "\n"
