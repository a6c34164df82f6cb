"""A crawler: follows a site's links, so many pages at a time, and prints the status of each page.

python examples/crawler.py                                      a small site that it serves itself
python examples/crawler.py http://localhost:8000/ --at-once 4
"""

import argparse
from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import grt
import grt.sync


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


def visit(url: str, seats: grt.sync.Semaphore, visits: grt.Chan[tuple[str, str, list[str]]]) -> None:
    """Fetches a page and sends its address, its status and its links."""
    try:
        parts = urlsplit(url)
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        with seats, grt.timeout(10), grt.dial("tcp", (parts.hostname or "", parts.port or 80)) as conn:
            conn.write(f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            status, _, page = b"".join(conn).decode(errors="replace").partition("\r\n")
        links = [urldefrag(urljoin(url, link)).url for link in Links(page).found]
    except (OSError, ValueError, AssertionError) as error:  # the last is html.parser's, for some of what is no HTML
        status, links = f"{type(error).__name__}: {error}", []
    visits.send((url, status, links))


def crawl(start: str, at_once: int) -> None:
    seats, visits = grt.sync.Semaphore(at_once), grt.chan()
    grt.go(visit, start, seats, visits)
    seen, done = {start}, 0
    while done < len(seen):
        url, status, links = visits.recv()
        print(url, status)
        done += 1
        for link in links:
            if link.startswith(urljoin(start, "/")) and link not in seen:
                seen.add(link)
                grt.go(visit, link, seats, visits)


def serve(listener: grt.Listener) -> None:
    """A site of 40 pages, and as many links to nowhere."""
    for conn in listener:
        with conn:
            number = int(conn.read().split()[1].strip(b"/"))
            page = f'200 OK\r\n\r\n<a href="/{2 * number}"></a><a href="/{2 * number + 1}"></a>'
            conn.write(f"HTTP/1.0 {page if number <= 40 else '404 Not Found'}\r\n\r\n".encode())


def main(start: str | None, at_once: int) -> None:
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        grt.go(serve, listener)
        crawl(start or f"http://127.0.0.1:{listener.addr[1]}/1", at_once)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Follows a site's links.")
    parser.add_argument("start", nargs="?", help="http://host:port/ (if there is none, a site of its own)")
    parser.add_argument("--at-once", type=int, default=8, help="pages fetched at a time (default 8)")
    options = parser.parse_args()
    if options.at_once < 1 or not (options.start or "http://").startswith("http://"):
        parser.error("it takes an address that begins with http://, and at least one page at a time")
    with suppress(KeyboardInterrupt):
        grt.run(main, options.start, options.at_once)
