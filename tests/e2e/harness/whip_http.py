"""The HTTP side of a WHIP publisher (RFC 9725), for the clients that leave it to whoever uses them."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urljoin

TIMEOUT_S = 10


@dataclass
class Answer:
    """What the server said; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def request(method: str, url: str, body: str | bytes | None = None, **headers: str) -> Answer:
    """One request; `content_type=...` becomes Content-Type. A status of 4xx or 5xx is an answer too."""
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(url, data, named, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
            return _answer(answer.status, answer)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error)


def _answer(status: int, response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status, headers, response.read().decode(errors="replace"))


class Resource:
    """One publishing session, from the server's point of view."""

    def __init__(self, url: str, key: str, in_path: bool = False):
        self.endpoint = f"{url}/{key}" if in_path else url
        self.auth = {} if in_path else {"authorization": f"Bearer {key}"}
        self.url = ""
        self.etag = ""

    def offer(self, sdp: str) -> Answer:
        """POST; after a 201 the resource has its URL."""
        answer = request("POST", self.endpoint, sdp, content_type="application/sdp", **self.auth)
        if answer.status == 201:
            self.url = urljoin(self.endpoint, answer.headers["location"])
            self.etag = answer.headers.get("etag", "")
        return answer

    def patch(self, fragment: str, if_match: str | None = None) -> Answer:
        """PATCH with an SDP fragment (RFC 8840); `if_match`: another ETag than the newest one, "" for none."""
        tag = self.etag if if_match is None else if_match
        headers = self.auth | ({"if_match": tag} if tag else {})
        return request("PATCH", self.url, fragment, content_type="application/trickle-ice-sdpfrag", **headers)

    def delete(self) -> Answer:
        """Ends the session."""
        return request("DELETE", self.url, **self.auth)
