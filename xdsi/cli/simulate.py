"""`xdsi simulate ACTOR`: a peer to talk to, with faults that can be switched on, and a recorder."""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from xdsi.app import simulated_messages as messages
from xdsi.app import simulation
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.keep import patient
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.findings import Report
from xdsi.domain.identifiers import PatientId
from xdsi.storage.exchange_recorder import ExchangeRecorder
from xdsi.transport import pki
from xdsi.transport.simulator import SWITCH, Switches
from xdsi.validation.packaging import body_of
from xdsi.wire import soap
from xdsi.wire.simulated_faults import HttpMessage

_FAILED: Final = ("Failure", "PartialSuccess")
"""what an answer reports where something asked for was not done"""


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "simulate",
        help="run a peer to talk to, with faults",
        description="Run one actor on a loopback address, without security, until stopped; or, of a source or a "
        "consumer, send messages to --endpoint. Every exchange is recorded. Exit status 1 where an answer is not "
        "HTTP 200, or reports a Failure or a PartialSuccess. For tests only.",
    )
    command.add_argument(
        "actor", nargs="?", choices=simulation.ACTORS, metavar="ACTOR", help=", ".join(simulation.ACTORS)
    )
    command.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="commit this fault; several times"
    )
    command.add_argument("--list-faults", action="store_true", help="list the faults of each actor, and end")
    command.add_argument("--delay", type=float, default=10.0, metavar="S", help="seconds of slow; default: %(default)s")
    command.add_argument("--record", type=Path, default=Path("xdsi-simulation"), metavar="DIR",
                         help="folder of exchanges; default: %(default)s")  # fmt: skip
    server = command.add_argument_group("registry, repository, imaging-source, assertion-provider, audit-collector")
    server.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on; default: a free one")
    server.add_argument("--data", type=Path, metavar="DIR", help="what the actor keeps; default: DIR/data of --record")
    server.add_argument("--dicom", type=Path, metavar="DIR", help="images; imaging-source only, which needs it")
    server.add_argument("--issuer", default="urn:xdsi:simulation:idp", metavar="NAME",
                        help="of assertions; assertion-provider only; default: %(default)s")  # fmt: skip
    both = command.add_argument_group("assertion-provider, audit-collector and those who send")
    both.add_argument("--cert", type=Path, metavar="F", help="certificate: of TLS, or of the issuer of assertions")
    both.add_argument("--key", type=Path, metavar="F", help="its key")
    sender = command.add_argument_group("document-source, document-consumer, imaging-consumer")
    sender.add_argument("--endpoint", metavar="URL", help="whom to send to; needed")
    sender.add_argument("--ca", type=Path, metavar="F", help="authority of the endpoint's certificate")
    sender.add_argument("--assertion", type=Path, metavar="F", help="identity assertion to send")
    sender.add_argument("--message", type=Path, metavar="F",
                        help="a prepared message to send as it is, or a recorded request")  # fmt: skip
    sender.add_argument("--content-type", metavar="TYPE",
                        help=f"of --message; default: what it begins with, or else {soap.CONTENT_TYPE}")  # fmt: skip
    sender.add_argument("--patient", type=patient, default=PatientId("SIM1", "2.999.1.1"), metavar="PATIENT",
                        help="whose document is submitted (document-source), or whose are looked for "
                        "(document-consumer); default: SIM1 of 2.999.1.1")  # fmt: skip
    sender.add_argument("--document", metavar="OID:OID",
                        help="repositoryUniqueId:uniqueId to retrieve (ITI-43); document-consumer only")  # fmt: skip
    sender.add_argument("--image", metavar="STUDY/SERIES/INSTANCE",
                        help="the image to retrieve (RAD-69); imaging-consumer only, which needs it")  # fmt: skip
    sender.add_argument("--location-uid", default="2.999.1.3", metavar="OID",
                        help="Retrieve Location UID of --image; default: %(default)s")  # fmt: skip
    sender.add_argument("--count", type=int, default=1, metavar="N", help="messages to send; 0: until stopped")
    sender.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between them")
    command.set_defaults(run=run)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Serve until stopped, or send."""
    if given.list_faults or given.actor is None:
        return _list(terminal, listed=given.list_faults)
    switches = Switches(simulation.faults_of(given.actor), given.fault)
    recorder = ExchangeRecorder(given.record)
    if given.actor in simulation.CLIENTS:
        return _send(given, switches, recorder, terminal)
    server = _server(given, switches, recorder, load)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    way = "syslog" if given.actor == "audit-collector" else "http"
    line = {
        "actor": given.actor, "base_url": f"{way}://127.0.0.1:{server.port}", "record": str(given.record.resolve()),
        "faults": list(switches.on),
    }  # fmt: skip
    if way == "http":
        line["switch"] = f"{line['base_url']}{SWITCH}"
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    stopped.wait()
    server.stop()
    return Result()


def _list(terminal: Terminal, *, listed: bool) -> Result:
    items = [
        {"actor": actor, "fault": one.name, "text": one.text}
        for actor in simulation.ACTORS
        for one in simulation.faults_of(actor).values()
    ]
    terminal.table("", ["actor", "fault", "what it does"], [(i["actor"], i["fault"], i["text"]) for i in items])
    return Result(ok=listed, items=items, message="" if listed else "no ACTOR is given")


def _server(
    given: argparse.Namespace, switches: Switches, recorder: ExchangeRecorder, load: LoadSettings
) -> simulation.Running:
    if given.actor == "audit-collector":
        context = None
        if given.cert and given.key:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(given.cert, given.key)
        return simulation.audit_collector(switches, recorder, _tell, port=given.port, tls=context, delay=given.delay)
    data = given.data or given.record / "data"
    if given.actor == "assertion-provider":
        keys = data / "pki"
        if not (keys / "idp.pem").exists():
            pki.create_demonstration(keys)
        key, cert = given.key or keys / "idp.key", given.cert or keys / "idp.pem"
        stranger = (keys / "stranger.key").read_bytes() + b"\0" + (keys / "stranger.pem").read_bytes()
        provider = simulation.AssertionProvider(
            switches, issuer=given.issuer, key=key.read_bytes(), certificate=cert.read_bytes(), stranger=stranger
        )
        return simulation.assertion_provider(provider, switches, recorder, port=given.port, delay=given.delay)
    if given.actor == "imaging-source" and given.dicom is None:
        raise ConfigurationError("an imaging source needs --dicom DIR")
    settings = simulation.open_settings(load(), given.actor, data, given.port, given.dicom)
    return simulation.SimulatedServer(settings, switches, recorder, delay=given.delay)


def _tell(by: str, report: Report) -> None:
    """One audit record, for people: what it is, and what was found."""
    said = f"{by}: {report.about or report.kind}: {counted(len(report.findings), 'finding')}"
    for one in report.findings:
        said += f"\n  {one.level} {one.place}: {one.text}; expected {one.expected} ({one.clause})"
    sys.stderr.write(said + "\n")


def _send(given: argparse.Namespace, switches: Switches, recorder: ExchangeRecorder, terminal: Terminal) -> Result:
    if not given.endpoint:
        raise ConfigurationError(f"a {given.actor} needs --endpoint URL")
    client = simulation.SimulatedClient(
        given.endpoint, switches, recorder, delay=given.delay, verify=str(given.ca) if given.ca else True,
        certificate=(str(given.cert), str(given.key)) if given.cert and given.key else None,
    )  # fmt: skip
    items: list[dict[str, Any]] = []
    try:
        while given.count == 0 or len(items) < given.count:
            if items:
                time.sleep(given.interval)
            answer, body = client.send(_message(given))
            status, told = simulation.reported(body)
            items.append({"answer": answer, "status": status, "told": told})
            terminal.say(f"{len(items)}: {answer}" + (f", {status}" if status else ""))
            for one in told:
                terminal.say(f"   {one}")
    except KeyboardInterrupt:
        terminal.say("stopped")
    finally:
        client.close()
    done = (" 200 " in item["answer"] and item["status"] not in _FAILED for item in items)
    return Result(ok=all(done), items=items)


def _message(given: argparse.Namespace) -> HttpMessage:
    if given.message:
        content_type, body = body_of(given.message.read_bytes())
        return HttpMessage(0, (("Content-Type", given.content_type or content_type or soap.CONTENT_TYPE),), body)
    assertion = given.assertion.read_bytes() if given.assertion else b""
    if given.actor == "document-source":
        payload, transaction = messages.submission(given.patient, "simulated\n", source_id="2.999.3"), "ITI-41"
    elif given.actor == "imaging-consumer":
        uids = (given.image or "").split("/")
        if len(uids) != 3:
            raise ConfigurationError("an imaging consumer needs --image STUDY/SERIES/INSTANCE")
        payload, transaction = messages.images(uids[0], uids[1], uids[2], given.location_uid), "RAD-69"
    elif given.document:
        repository, _, unique_id = given.document.partition(":")
        payload, transaction = messages.retrieval(repository, unique_id), "ITI-43"
    else:
        payload, transaction = messages.find_documents(given.patient), "ITI-18"
    return messages.message(transaction, payload, to=given.endpoint, assertion=assertion)
