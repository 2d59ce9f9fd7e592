"""A registry, repository and imaging source of somebody else: the standard library and lxml, nothing of this product.

As little as the profiles let one get away with: text is put together by hand, prefixes and layout are its own, chunks
are sent where there is no need, and everything that is registered is given out as it came.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

REPOSITORY, LOCATION = "2.999.77.1", "2.999.77.2"
_RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
_RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
_QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
_XDS = "urn:ihe:iti:xds-b:2007"
_XOP = "http://www.w3.org/2004/08/xop/include"
_SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
_FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


class Foreign:
    """What it holds, and what it was asked."""

    def __init__(self, images: Path) -> None:
        self.entries: dict[str, etree._Element] = {}
        self.documents: dict[str, bytes] = {}
        self.images = images
        self.actions: list[str] = []
        self.url = ""

    def answer(self, action: str, envelope: etree._Element, parts: dict[str, bytes]) -> tuple[str, dict[str, bytes]]:
        """The Body's content and its parts by Content-ID."""
        self.actions.append(action)
        if action.endswith(":ProvideAndRegisterDocumentSet-b"):
            return self._provided(envelope, parts), {}
        if action.endswith(":RegistryStoredQuery"):
            return self._queried(), {}
        wanted = [one.text or "" for one in envelope.iter(f"{{{_XDS}}}DocumentUniqueId")]
        held = self.documents if action.endswith(":RetrieveDocumentSet") else self._held(wanted)
        place = REPOSITORY if action.endswith(":RetrieveDocumentSet") else LOCATION
        return self._given(wanted, held, place)

    def _provided(self, envelope: etree._Element, parts: dict[str, bytes]) -> str:
        contents: dict[str, bytes] = {}
        for document in envelope.iter(f"{{{_XDS}}}Document"):
            include = document.find(f"{{{_XOP}}}Include")
            assert include is not None, "RAD-68 comes with attachments"
            contents[document.get("id", "")] = parts[unquote(include.get("href", "")[4:])]
        for entry in envelope.iter(f"{{{_RIM}}}ExtrinsicObject"):
            content = contents[entry.get("id", "")]
            (unique_id,) = [
                one.get("value", "") for one in entry.iter(f"{{{_RIM}}}ExternalIdentifier")
                if one.get("identificationScheme") == _UNIQUE_ID
            ]  # fmt: skip
            entry.set("id", f"urn:uuid:{uuid.uuid4()}")
            entry.set("status", "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved")
            for name, value in (
                ("repositoryUniqueId", REPOSITORY), ("size", str(len(content))),
                ("hash", hashlib.sha1(content).hexdigest()),
            ):  # fmt: skip
                slot = etree.Element(f"{{{_RIM}}}Slot", name=name)
                values = etree.SubElement(slot, f"{{{_RIM}}}ValueList")
                etree.SubElement(values, f"{{{_RIM}}}Value").text = value
                entry.insert(0, slot)
            self.entries[entry.get("id", "")] = entry
            self.documents[unique_id] = content
        return f'<a:RegistryResponse xmlns:a="{_RS}" status="{_SUCCESS}"/>'

    def _queried(self) -> str:
        objects = b"".join(etree.tostring(one, with_tail=False) for one in self.entries.values()).decode()
        return (
            f'<AdhocQueryResponse xmlns="{_QUERY}" status="{_SUCCESS}">'
            f'<b:RegistryObjectList xmlns:b="{_RIM}">{objects}</b:RegistryObjectList></AdhocQueryResponse>'
        )

    def _held(self, uids: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for path in self.images.rglob("*"):
            raw = path.read_bytes() if path.is_file() else b""
            found |= {uid: raw for uid in uids if raw[128:132] == b"DICM" and uid.encode() + b"\0" in raw[:2000]}
            found |= {uid: raw for uid in uids if raw[128:132] == b"DICM" and uid.encode() + b"\x08" in raw[:2000]}
        return found

    @staticmethod
    def _given(wanted: list[str], held: dict[str, bytes], place: str) -> tuple[str, dict[str, bytes]]:
        parts: dict[str, bytes] = {}
        responses = ""
        for number, uid in enumerate(wanted):
            if uid in held:
                parts[f"part{number}@foreign"] = held[uid]
                responses += (
                    f"<r:DocumentResponse><r:RepositoryUniqueId>{place}</r:RepositoryUniqueId>"
                    f"<r:DocumentUniqueId>{uid}</r:DocumentUniqueId><r:mimeType>application/dicom</r:mimeType>\n"
                    f'<r:Document><i:Include xmlns:i="{_XOP}" href="cid:part{number}%40foreign"/></r:Document>'
                    "</r:DocumentResponse>\n"
                )
        status = _SUCCESS if len(parts) == len(wanted) else _FAILURE
        body = (
            f'<r:RetrieveDocumentSetResponse xmlns:r="{_XDS}"><s:RegistryResponse xmlns:s="{_RS}" status="{status}"/>'
        )
        return f"{body}{responses}</r:RetrieveDocumentSetResponse>", parts


def _handler(foreign: Foreign) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            raw = self._body()
            parts: dict[str, bytes] = {}
            if self.headers["Content-Type"].startswith("multipart/"):
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                root, *others = BytesParser().parsebytes(head + raw).get_payload()
                raw = root.get_payload(decode=True)
                parts = {one["Content-ID"].strip("<>"): one.get_payload(decode=True) for one in others}
            envelope = etree.fromstring(raw, etree.XMLParser(resolve_entities=False))
            action = (envelope.findtext(".//{http://www.w3.org/2005/08/addressing}Action") or "").strip()
            message_id = envelope.findtext(".//{http://www.w3.org/2005/08/addressing}MessageID")
            content, sent = foreign.answer(action, envelope, parts)
            reply = "urn:ihe:iti:2007:RetrieveDocumentSetResponse" if sent else f"{action}Response"
            message = (
                '<?xml version="1.0"?>\n<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
                'xmlns:w="http://www.w3.org/2005/08/addressing">\n<e:Header>'
                f'<w:Action e:mustUnderstand="true"> {reply} </w:Action><w:RelatesTo>{message_id}</w:RelatesTo>'
                f"</e:Header>\n<e:Body>{content}</e:Body></e:Envelope>"
            ).encode()
            self._send(message, sent)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            raw = b""
            while size := int(self.rfile.readline(), 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return raw

        def _send(self, message: bytes, parts: dict[str, bytes]) -> None:
            kind = "application/soap+xml; charset=utf-8"
            if parts:
                edge = uuid.uuid4().hex
                kind = (
                    f'Multipart/Related; boundary={edge}; type="application/xop+xml"; '
                    'start-info="application/soap+xml"; start="<root@foreign>"'
                )
                root = b'Content-Type: application/xop+xml; type="application/soap+xml"\r\nContent-ID: <root@foreign>'
                pieces = [root + b"\r\n\r\n" + message]
                pieces += [
                    f"content-id: <{name}>\r\ncontent-type: application/dicom\r\n\r\n".encode() + content
                    for name, content in parts.items()
                ]
                line = f"--{edge}".encode()
                message = b"".join(line + b"\r\n" + piece + b"\r\n" for piece in pieces) + line + b"--"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            for start in range(0, len(message), 7000):
                piece = message[start : start + 7000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    return Handler


@contextmanager
def foreign_domain(images: Path) -> Iterator[Foreign]:
    """It answers for as long as the block lasts."""
    foreign = Foreign(images)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(foreign))
    server.daemon_threads = False
    foreign.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield foreign
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
